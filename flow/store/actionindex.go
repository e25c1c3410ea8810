package store

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"sync"
)

// actionIndex is a packed copy of the action entries in actions/index, so that
// a plan of a hundred thousand stages opens one file and not as many. A line is
//
//	key TAB size,mtime,inode of the entry's file TAB head TAB preimage
//
// The entry files stay the truth: a line counts only while its file has the
// same size, time and inode, so that deleting or damaging an entry is seen, and
// the index can be deleted at any time.
type actionIndex struct {
	mu     sync.Mutex
	loaded bool
	file   *os.File
	refs   map[string]indexRef // entries in file
	fresh  map[string]indexItem
	tail   []byte // lines not yet written
	stale  int    // lines in file that a later line replaces
}

type indexRef struct {
	off int64
	len int
}

type indexItem struct {
	id fileID
	a  Action // not handed out itself: callers may change what they get
}

// flushTail bounds what a killed process forgets and what memory holds.
const flushTail = 256 << 10

func (x *actionIndex) path(s *Store) string { return s.path("actions", "index") }

// load reads the index. Keys are found by position; checksums are tested when a
// line is used.
func (x *actionIndex) load(s *Store) {
	if x.loaded {
		return
	}
	x.loaded = true
	x.refs = map[string]indexRef{}
	x.fresh = map[string]indexItem{}
	f, err := os.Open(x.path(s))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.warn(x.path(s), "cannot be read (%v); planning is slower", err)
		}
		return
	}
	x.file = f
	if fi, err := f.Stat(); err == nil {
		x.refs = make(map[string]indexRef, fi.Size()/usualLine)
	}
	x.scan(f)
}

// usualLine is the length in bytes of the line of an entry with a short preimage.
const usualLine = 400

func (x *actionIndex) scan(r io.Reader) {
	br := bufio.NewReaderSize(r, 1<<20)
	var off int64
	var long []byte
	for {
		line, err := br.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			line, err = br.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if err != nil {
			return // the end, or a torn last line
		}
		if len(line) > 17 {
			if key, _, ok := bytes.Cut(line[17:], []byte{'\t'}); ok {
				if _, again := x.refs[string(key)]; again {
					x.stale++
				}
				x.refs[string(key)] = indexRef{off: off, len: len(line)}
			}
		}
		off += int64(len(line))
		long = long[:0]
	}
}

// get returns the entry of key, nil if the index does not hold it for the file
// state id.
func (x *actionIndex) get(s *Store, key string, id fileID) *Action {
	x.mu.Lock()
	x.load(s)
	if it, ok := x.fresh[key]; ok {
		x.mu.Unlock()
		if it.id != id {
			return nil
		}
		a := it.a
		a.Outputs = maps.Clone(a.Outputs)
		a.Meta.Stats = maps.Clone(a.Meta.Stats)
		return &a
	}
	ref, found := x.refs[key]
	f := x.file
	x.mu.Unlock()
	if !found || f == nil {
		return nil
	}
	line := make([]byte, ref.len)
	if _, err := f.ReadAt(line, ref.off); err != nil {
		return nil
	}
	fields, ok := splitLine(line, 4)
	if !ok || string(fields[0]) != key || !bytes.Equal(fields[1], idField(id)) {
		return nil
	}
	a, err := parseHead(key, fields[2])
	if err != nil {
		return nil
	}
	if string(fields[3]) != "null" {
		a.Preimage = fields[3]
	}
	return a
}

// add remembers an entry and writes the lines collected when they are many.
func (x *actionIndex) add(s *Store, id fileID, a *Action) {
	if s.opts.ReadOnly {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.load(s)
	if _, again := x.refs[a.Key]; again {
		x.stale++
	}
	it := indexItem{id: id, a: *a}
	it.a.Outputs, it.a.Meta.Stats = maps.Clone(a.Outputs), maps.Clone(a.Meta.Stats)
	x.fresh[a.Key] = it
	x.tail = appendLine(x.tail, []byte(a.Key), idField(id), appendHead(nil, a), a.preimageField())
	if len(x.tail) >= flushTail {
		_ = x.writeTail(s) // the lines stay in fresh; Close reports errors
	}
}

func idField(id fileID) []byte {
	b := intField(id.size)
	b = append(append(b, ','), intField(id.mtime)...)
	return append(append(b, ','), intField(int64(id.inode))...)
}

func (x *actionIndex) writeTail(s *Store) error {
	if len(x.tail) == 0 {
		return nil
	}
	err := appendFile(x.path(s), x.tail)
	x.tail = nil
	return s.writeErr(err)
}

// appendFile appends whole lines with one write call. If an earlier writer
// left a torn line, it is ended first.
func appendFile(path string, lines []byte) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if fi, err := f.Stat(); err == nil && fi.Size() > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], fi.Size()-1); err == nil && last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	_, err = f.Write(lines)
	return err
}

// flush writes what is buffered. Where most of the file is stale it is written
// anew instead.
func (x *actionIndex) flush(s *Store) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.loaded || len(x.tail) == 0 {
		return nil
	}
	if x.stale > 1000 && x.stale > len(x.refs) {
		if err := x.rewrite(s, nil); err != nil {
			return err
		}
	}
	return x.writeTail(s)
}

// rewrite keeps, of the lines in the file, the latest of each key for which
// keep is true; nil keeps all. Lines of other processes that arrive meanwhile
// may be lost, which costs a later plan one file read each.
func (x *actionIndex) rewrite(s *Store, keep func(key string) bool) error {
	var out []byte
	for key, ref := range x.refs {
		if _, again := x.fresh[key]; again || keep != nil && !keep(key) || x.file == nil {
			continue
		}
		line := make([]byte, ref.len)
		if _, err := x.file.ReadAt(line, ref.off); err != nil {
			continue
		}
		if _, ok := splitLine(line, 4); ok {
			out = append(out, line...)
		}
	}
	return s.replaceFile(x.path(s), out, false)
}

// reset forgets everything, for gc.
func (x *actionIndex) reset() {
	x.close()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loaded, x.refs, x.fresh, x.tail, x.stale = false, nil, nil, nil, 0
}

func (x *actionIndex) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.file != nil {
		x.file.Close()
		x.file = nil
	}
}
