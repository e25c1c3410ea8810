package store

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
)

// VerifyReport is the result of reading the store again.
type VerifyReport struct {
	Blobs   int      // blobs read
	Bytes   int64    // their size
	Damaged []Digest // blobs whose content is wrong: misses from now on

	Actions    int      // entries with sound outputs
	Incomplete int      // entries marked incomplete
	Broken     []string // keys of entries that are damaged or have lost an output
}

// Verify hashes blobs and looks at every action. sample limits it to that many
// blobs, chosen by chance; 0 reads all.
func (s *Store) Verify(ctx context.Context, sample int) (VerifyReport, error) {
	var rep VerifyReport
	type item struct {
		path string
		d    Digest
	}
	var items []item
	err := s.eachBlob(func(path string, d Digest, _ fs.FileInfo) error {
		items = append(items, item{path, d})
		return nil
	})
	if err != nil {
		return rep, err
	}
	if sample > 0 && sample < len(items) {
		rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		items = items[:sample]
	}
	for _, it := range items {
		got, n, err := hashInput(ctx, it.path)
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		rep.Blobs++
		rep.Bytes += n
		if err != nil || got != it.d {
			_ = s.damaged(it.d)
			rep.Damaged = append(rep.Damaged, it.d)
		}
	}
	err = s.eachActionKey(func(key string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		a, ok, err := s.GetAction(key)
		switch {
		case err != nil:
			return err
		case ok:
			rep.Actions++
		case a != nil && a.Damage == "":
			rep.Incomplete++
		default:
			rep.Broken = append(rep.Broken, key)
		}
		return nil
	})
	return rep, err
}

// Stats counts what a store holds.
type Stats struct {
	Blobs     int
	BlobBytes int64
	Actions   int
	Conflicts int // results kept beside the one in force
	Trees     int // materialised folders; their files share the blobs' space
	Runs      int
	Work      int // scratch folders of unfinished actions
}

// Stats counts what the store holds.
func (s *Store) Stats() (Stats, error) {
	var st Stats
	err := s.eachBlob(func(_ string, _ Digest, fi fs.FileInfo) error {
		st.Blobs++
		st.BlobBytes += fi.Size()
		return nil
	})
	if err != nil {
		return st, err
	}
	dirs, err := readDirNames(s.path("actions"))
	if err != nil {
		return st, err
	}
	for _, d := range dirs {
		if len(d) != 2 {
			continue
		}
		names, err := readDirNames(s.path("actions", d))
		if err != nil {
			return st, err
		}
		for _, n := range names {
			switch base, ok := cutJSON(n); {
			case !ok:
			case strings.Contains(base, conflictMark):
				st.Conflicts++
			default:
				st.Actions++
			}
		}
	}
	for dir, n := range map[string]*int{"trees": &st.Trees, "runs": &st.Runs, "work": &st.Work} {
		entries, err := os.ReadDir(s.path(dir))
		if err == nil {
			*n = len(entries)
		}
	}
	return st, nil
}
