package hf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// charsmap is SentencePiece's compiled normalization: a double-array trie
// (Darts-clone's layout) from byte strings to offsets in a table of replacements,
// each ended by a zero byte.
type charsmap struct {
	units []uint32
	table string
}

// parseCharsmap reads the binary form: the trie's size in bytes, the trie, the
// table. All integers are little-endian.
func parseCharsmap(data []byte) (*charsmap, error) {
	if len(data) < 4 {
		return nil, errors.New("the charsmap is shorter than its header")
	}
	size := int64(binary.LittleEndian.Uint32(data))
	data = data[4:]
	if size > int64(len(data)) || size%4 != 0 {
		return nil, fmt.Errorf("the charsmap's trie is said to have %d bytes, %d are left", size, len(data))
	}
	c := &charsmap{units: make([]uint32, size/4)}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	c.table = string(data[size:])
	if !utf8.ValidString(c.table) {
		return nil, errors.New("the charsmap's replacements are not UTF-8")
	}
	return c, nil
}

// Fields of a unit, as Darts-clone packs them.
func unitOffset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
func unitLabel(u uint32) uint32  { return u & (1<<31 | 0xFF) }
func unitHasLeaf(u uint32) bool  { return u>>8&1 == 1 }
func unitValue(u uint32) uint32  { return u & (1<<31 - 1) }

// lookup gives the replacement of the shortest prefix of s that has one.
func (c *charsmap) lookup(s string) (string, bool) {
	if len(c.units) == 0 {
		return "", false
	}
	at := unitOffset(c.units[0])
	for i := range len(s) {
		if s[i] == 0 {
			return "", false
		}
		at ^= uint32(s[i])
		if at >= uint32(len(c.units)) {
			return "", false
		}
		u := c.units[at]
		if unitLabel(u) != uint32(s[i]) {
			return "", false
		}
		at ^= unitOffset(u)
		if unitHasLeaf(u) {
			if at >= uint32(len(c.units)) {
				return "", false
			}
			v := unitValue(c.units[at])
			if v > uint32(len(c.table)) {
				return "", false
			}
			r := c.table[v:]
			if end := strings.IndexByte(r, 0); end >= 0 {
				r = r[:end]
			}
			return r, true
		}
	}
	return "", false
}

// maxGrapheme is the longest user-perceived character in bytes that is looked up
// as a whole; the reference has it too.
const maxGrapheme = 5

func (c *charsmap) normalize(p *piece) error {
	var changes []change
	modified, size := false, len(p.text)
	replace := func(old, with string) {
		modified = true
		n := utf8.RuneCountInString(old)
		diff := utf8.RuneCountInString(with) - n
		if size += len(with) - len(old); grows(len(p.text), size) != nil {
			return // told below
		}
		for _, r := range with {
			changes = append(changes, change{r, 0})
		}
		switch {
		case diff > 0:
			for i := len(changes) - diff; i < len(changes); i++ {
				changes[i].by = 1
			}
		case diff < 0 && len(changes) > 0:
			// With nothing in its place, a removed character is counted by the
			// one before it.
			changes[len(changes)-1].by += diff
		}
	}
	it := graphemes.FromString(p.text)
	for it.Next() {
		if err := grows(len(p.text), size); err != nil {
			return err
		}
		g := it.Value()
		if len(g) <= maxGrapheme {
			if with, ok := c.lookup(g); ok {
				replace(g, with)
				continue
			}
		}
		for i, r := range g {
			part := g[i : i+utf8.RuneLen(r)]
			if with, ok := c.lookup(part); ok {
				replace(part, with)
				continue
			}
			changes = append(changes, change{r, 0})
		}
	}
	if err := grows(len(p.text), size); err != nil {
		return err
	}
	if modified {
		p.apply(changes, 0)
	}
	return nil
}
