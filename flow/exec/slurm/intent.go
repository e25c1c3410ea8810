package slurm

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// intent is one submission of a task. It is on disk before sbatch runs, so that whoever
// goes on after a kill finds the job by its name.
type intent struct {
	Name  string    `json:"name"`         // of the job, unique
	Index int       `json:"index"`        // in its array
	At    time.Time `json:"at"`           // when it was written
	Job   string    `json:"id,omitempty"` // as sbatch gave it; "" if that is not known
	Array bool      `json:"array,omitempty"`
}

// id is the job's, or its element's; "" if that is not known.
func (i intent) id() string {
	if i.Job == "" || !i.Array {
		return i.Job
	}
	return fmt.Sprintf("%s_%d", i.Job, i.Index)
}

// newName gives a job a name that no other has.
func newName() string { return "distillflow-" + strings.ToLower(rand.Text()[:12]) }

func (i intent) write(f job.Folder, d atomicfile.Durability) error {
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(f.File(intentFile), 0o666, d, b)
}

func readIntent(f job.Folder) (i intent, ok bool) {
	b, err := os.ReadFile(f.File(intentFile))
	return i, err == nil && json.Unmarshal(b, &i) == nil && i.Name != ""
}

// withdraw removes a submission's traces, so that the task can be submitted again and a
// job that is left of it does nothing.
func withdraw(f job.Folder) error {
	var errs []error
	for _, name := range []string{intentFile, endFile} {
		if err := os.Remove(f.File(name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, f.Forget())...)
}

// end is how a job's worker ended, in the job's own words.
type end struct {
	Name string `json:"name"`
	Code int    `json:"code"`
	Told bool   `json:"told"` // it was told to stop, as at the end of its time
}

// readEnd reads the end of a submission's worker.
func readEnd(f job.Folder, name string) (e end, ok bool) {
	b, err := os.ReadFile(f.File(endFile))
	return e, err == nil && json.Unmarshal(b, &e) == nil && e.Name == name
}
