package data

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The metadata of Parquet files is written in Thrift's compact protocol, whose lists and
// texts say in front how long they are. The library makes room for what they say; so a
// file is only given to it after its numbers were compared with the bytes that there are.
// See https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.

// errThriftShort says that bytes end inside a value.
var errThriftShort = errors.New("the metadata is cut short, or counts more than there is")

// maxThriftDepth bounds values in values: in Parquet's metadata a handful.
const maxThriftDepth = 32

// thriftBounds walks over a value.
type thriftBounds struct {
	b      []byte
	at     int
	budget int // elements of lists, sets and maps, all together
}

// Types of the compact protocol.
const (
	thriftTrue = iota + 1
	thriftFalse
	thriftI8
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

// structure walks over a struct, at any depth below others.
func (t *thriftBounds) structure(depth int) error {
	for {
		head, err := t.take(1)
		if err != nil {
			return err
		}
		if head[0]>>4 == 0 && head[0] != 0 {
			if _, err := t.uvarint(); err != nil { // the field's number
				return err
			}
		}
		kind := head[0] & 0xf
		if kind == 0 {
			return nil
		}
		if kind == thriftTrue || kind == thriftFalse {
			continue // the value stands in the type
		}
		if err := t.value(kind, depth+1); err != nil {
			return err
		}
	}
}

// value walks over a field that is not a bool, or over an element.
func (t *thriftBounds) value(kind byte, depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("the metadata nests more than %d deep", maxThriftDepth)
	}
	var err error
	switch kind {
	case thriftTrue, thriftFalse, thriftI8:
		_, err = t.take(1)
	case thriftI16, thriftI32, thriftI64:
		_, err = t.uvarint()
	case thriftDouble:
		_, err = t.take(8)
	case thriftBinary:
		var n uint64
		if n, err = t.uvarint(); err == nil {
			_, err = t.take(n)
		}
	case thriftList, thriftSet:
		var head []byte
		if head, err = t.take(1); err != nil {
			return err
		}
		n := uint64(head[0] >> 4)
		if n == 15 {
			if n, err = t.uvarint(); err != nil {
				return err
			}
		}
		err = t.elements(n, depth, head[0]&0xf)
	case thriftMap:
		var n uint64
		if n, err = t.uvarint(); err != nil || n == 0 {
			return err
		}
		var kinds []byte
		if kinds, err = t.take(1); err != nil {
			return err
		}
		err = t.elements(n, depth, kinds[0]>>4, kinds[0]&0xf)
	case thriftStruct:
		err = t.structure(depth)
	default:
		err = fmt.Errorf("the metadata has a value of the unknown type %d", kind)
	}
	return err
}

// elements walks over n times values of the given kinds. Each takes a byte at least.
func (t *thriftBounds) elements(n uint64, depth int, kinds ...byte) error {
	if n > uint64(len(t.b)-t.at) {
		return errThriftShort
	}
	if t.budget -= int(n); t.budget < 0 {
		return errors.New("the metadata lists more than a file of this size can need")
	}
	for range n {
		for _, k := range kinds {
			if err := t.value(k, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *thriftBounds) take(n uint64) ([]byte, error) {
	if n > uint64(len(t.b)-t.at) {
		return nil, errThriftShort
	}
	b := t.b[t.at : t.at+int(n)]
	t.at += int(n)
	return b, nil
}

func (t *thriftBounds) uvarint() (uint64, error) {
	v, n := binary.Uvarint(t.b[t.at:])
	switch {
	case n == 0:
		return 0, errThriftShort
	case n < 0:
		return 0, errors.New("the metadata has a number that is too long")
	}
	t.at += n
	return v, nil
}
