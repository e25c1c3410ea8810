package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// receipt says what a saved file was made from and which digest it had then. The
// store has one for each file; without it the file is written again.
type receipt struct {
	Output store.Digest `json:"output"`
	Record string       `json:"record"`
	Port   string       `json:"port"`
	Layout int          `json:"layout"`
	File   store.Digest `json:"file"`
}

// receiptSum guards a receipt against damage: with a wrong digest an edited file
// would pass for the right one.
type receiptSum struct {
	Receipt json.RawMessage `json:"receipt"`
	Sum     store.Digest    `json:"sum"`
}

// receiptPath names the receipt of a saved file.
func receiptPath(st *store.Store, place string) (string, error) {
	abs, err := filepath.Abs(place)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(st.Dir(), "saved", hex.EncodeToString(sum[:16])+".json"), nil
}

// keep remembers the receipt. If it cannot, as on a read-only store, the next run
// writes the file again.
func (r receipt) keep(st *store.Store, place string) {
	path, err := receiptPath(st, place)
	if err != nil {
		return
	}
	body, err := json.Marshal(r)
	if err != nil {
		return
	}
	whole, err := json.Marshal(receiptSum{Receipt: body, Sum: store.DigestBytes(body)})
	if err != nil {
		return
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, whole) {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return
	}
	_ = atomicfile.WriteBytes(path, 0o644, atomicfile.Relaxed, whole)
}

// readReceipt gives the receipt of a saved file; ok is false where there is none
// or it is damaged.
func readReceipt(st *store.Store, place string) (r receipt, ok bool) {
	path, err := receiptPath(st, place)
	if err != nil {
		return r, false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return r, false
	}
	var whole receiptSum
	if json.Unmarshal(b, &whole) != nil || store.DigestBytes(whole.Receipt) != whole.Sum {
		return r, false
	}
	return r, json.Unmarshal(whole.Receipt, &r) == nil
}

// holdsFile reports whether a file has the bytes that saving an output would write.
// The store remembers the digests of files that did not change, so a large one is
// not read in every run.
func holdsFile(st *store.Store, place string, want receipt, o store.Output) bool {
	info, err := os.Lstat(place)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	want.File = o.Digest // of rows that are saved as they are
	had, ok := readReceipt(st, place)
	if ok {
		want.File = had.File
	}
	if ok && had != want || !ok && info.Size() != o.Bytes {
		return false
	}
	d, _, err := st.HashFile(context.Background(), place)
	return err == nil && d == want.File
}

// holdsTree reports whether a folder has a tree's files, links and empty folders,
// all of them and nothing else.
func holdsTree(st *store.Store, place string, tree store.Digest) bool {
	if info, err := os.Lstat(place); err != nil || !info.IsDir() {
		return false
	}
	entries, err := st.Tree(tree)
	if err != nil {
		return false
	}
	want := make(map[string]store.TreeEntry, len(entries))
	parents := map[string]bool{".": true}
	for _, e := range entries {
		want[e.Path] = e
		for dir := filepath.Dir(filepath.FromSlash(e.Path)); !parents[filepath.ToSlash(dir)]; dir = filepath.Dir(dir) {
			parents[filepath.ToSlash(dir)] = true
		}
	}
	err = filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(place, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		e, listed := want[name]
		delete(want, name)
		if !listed && d.IsDir() && parents[name] || listed && holdsEntry(st, path, d, e) {
			return nil
		}
		return fs.ErrInvalid
	})
	return err == nil && len(want) == 0
}

func holdsEntry(st *store.Store, path string, d fs.DirEntry, e store.TreeEntry) bool {
	switch {
	case e.Dir:
		return d.IsDir()
	case e.Link != "":
		link, err := os.Readlink(path)
		return err == nil && filepath.ToSlash(link) == e.Link
	}
	info, err := d.Info()
	if err != nil || !info.Mode().IsRegular() || info.Size() != e.Size || info.Mode()&0o111 != 0 != e.Exec {
		return false
	}
	digest, _, err := st.HashFile(context.Background(), path)
	return err == nil && digest == e.Digest
}
