// Package notes keeps what a person says of records: marks and comments, in a file of JSON
// lines beside the store. The stage import reads that file as it is, and join brings the
// notes to the rows they are about, so that labels can filter and audit.
//
//	err := notes.Append(st.Dir(), notes.Of(out, &problem, i, schema.MarkWrong, "adds instead"))
//	list, err := notes.Read(st.Dir())
//	list[notes.Key(&problem, i)].Mark
//
// Lines are only ever added: the last about a path counts.
package notes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/lines"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

// maxLine bounds what one note can take, and maxRead the line that is read for one: a person
// may have laid it out otherwise.
const (
	maxLine = 64 << 10
	maxRead = 1 << 20
)

// Path is the file of the notes on the records of a store: beside it, since a store is a
// cache that may be deleted.
func Path(storeDir string) string {
	return filepath.Join(storeDir, "..", "distillflow.notes.jsonl")
}

// Of is a note on path i of a row, or on the row if i is negative, seen in an output.
func Of(o runrecord.Output, row *schema.Problem, i int, mark, comment string) schema.Note {
	k := Key(row, i)
	return schema.Note{ID: k.ID, Style: k.Style, Replicate: k.Replicate, Text: k.Text, Mark: mark, Comment: comment,
		Stage: o.Label(), Output: string(o.Digest)}
}

// Key is what notes on path i of a row, or on the row if i is negative, are filed under.
func Key(row *schema.Problem, i int) schema.NoteKey {
	if i < 0 {
		return schema.NoteKey{ID: row.ID}
	}
	p := &row.Paths[i]
	return schema.NoteKey{ID: row.ID, Style: p.Style, Replicate: p.Replicate, Text: schema.TextHash(p.Response)}
}

// Append adds notes to those of a store, all or none of them, and returns once they are on
// the disk. A note without a time gets the present one. Other processes may append, too.
func Append(storeDir string, list ...schema.Note) (err error) {
	var lines []byte
	for _, n := range list {
		if n.Time.IsZero() {
			n.Time = time.Now().UTC().Truncate(time.Second)
		}
		line, err := line(n)
		if err != nil {
			return fmt.Errorf("note on %q: %w", n.ID, err)
		}
		lines = append(lines, line...)
	}
	path := Path(storeDir)
	lock := flock.New(filepath.Join(storeDir, "notes.lock"))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() { // a link may lead anywhere
		return fmt.Errorf("notes: %s is not a regular file: remove it", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	if last := []byte{'\n'}; end > 0 {
		if _, err := f.ReadAt(last, end-1); err != nil {
			return fmt.Errorf("notes: %w", err)
		}
		if last[0] != '\n' { // an editor left the last line without an end
			lines = append([]byte{'\n'}, lines...)
		}
	}
	if _, err := f.Write(lines); err != nil {
		return errors.Join(fmt.Errorf("notes: %w", err), f.Truncate(end))
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	return nil
}

func line(n schema.Note) ([]byte, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(n); err != nil {
		return nil, err
	}
	if b.Len() > maxLine {
		return nil, fmt.Errorf("it is longer than %s", text.Size(maxLine))
	}
	return b.Bytes(), nil
}

// Read gives the notes of a store that count, by what they are about. The error names
// lines that are not notes; the others are good all the same.
func Read(storeDir string) (map[schema.NoteKey]schema.Note, error) {
	list := map[schema.NoteKey]schema.Note{}
	path := Path(storeDir)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: remove it", path)
	}
	if err != nil {
		return list, fmt.Errorf("notes: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return list, fmt.Errorf("notes: %w", err)
	}
	defer f.Close()
	var errs []error
	i := 0
	for l, err := range lines.Of(f, maxRead) {
		i++
		var n schema.Note
		switch text := bytes.TrimSpace(l.Text); {
		case err != nil:
		case l.Long:
			err = errors.New("too long for a note; mend or delete the line")
		case len(text) == 0:
			continue
		default:
			if err = json.Unmarshal(text, &n); err != nil {
				err = fmt.Errorf("not a note; mend or delete the line: %w", err)
			} else if err = n.Check(); err == nil {
				add(list, n)
				continue
			}
		}
		errs = append(errs, fmt.Errorf("%s:%d: %w", path, i, err))
	}
	return list, errors.Join(errs...)
}

func add(list map[schema.NoteKey]schema.Note, n schema.Note) {
	if n.Mark == "" {
		delete(list, n.Key())
		return
	}
	list[n.Key()] = n
}
