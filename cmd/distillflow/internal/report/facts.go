package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// facts are what a page tells of outputs that it read from end to end, each by a hash of
// what it was read from. They lie in a file beside the page in the store, and the next
// page of the recipe takes from there what has not changed: a run with nothing to do need
// not read a million rows.
type facts struct {
	file  string
	known map[string]json.RawMessage // of the last page
	told  map[string]json.RawMessage // on this one
}

// newFacts reads those of the recipe's last run that has some.
func newFacts(r *runrecord.Run) *facts {
	name := "report-" + hash(r.RecipeID)[:16] + ".json"
	f := &facts{file: filepath.Join(r.Dir(), name), told: map[string]json.RawMessage{}}
	runs, err := os.ReadDir(filepath.Dir(r.Dir()))
	if err != nil {
		return f // they are only saved time
	}
	for _, run := range slices.Backward(runs) { // their names begin with their times
		b, err := os.ReadFile(filepath.Join(filepath.Dir(r.Dir()), run.Name(), name))
		if err == nil {
			_ = json.Unmarshal(b, &f.known) // of a damaged file what could be read
			break
		}
	}
	return f
}

// write keeps the facts for later pages.
func (f *facts) write() error {
	if len(f.told) == 0 {
		return nil
	}
	b, err := json.Marshal(f.told)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(f.file, 0o644, atomicfile.Relaxed, b)
}

// fact gives what read makes of some outputs, or what it made of the same ones before.
// from says all that it depends on besides the program.
func fact[T any](f *facts, kind string, from []string, read func() (T, error)) (T, error) {
	key := kind + " " + hash(append(from, program())...)
	for _, m := range []map[string]json.RawMessage{f.told, f.known} {
		var v T
		if b, ok := m[key]; ok && json.Unmarshal(b, &v) == nil {
			f.told[key] = b
			return v, nil
		}
	}
	v, err := read()
	if err == nil {
		if b, err := json.Marshal(v); err == nil {
			f.told[key] = b
		}
	}
	return v, err
}

// program tells one build of the program from another: one may read what another does not.
var program = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	fi, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprint(fi.Size(), fi.ModTime().UnixNano())
})

// hash is the SHA-256 of some texts.
func hash(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return hex.EncodeToString(h.Sum(nil))
}
