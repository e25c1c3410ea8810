package job

import (
	"encoding/json"
	"os"
	"runtime"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// Probe is what a worker finds where it runs, for checks of executors.
type Probe struct {
	Host    string    `json:"host"`
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // of the program
	GPUs    string    `json:"gpus,omitempty"`
	Threads int       `json:"threads"`
	Word    string    `json:"word"` // what it read in the folder
}

// The files of a probe.
const (
	wordFile  = "word"
	probeFile = "probe.json"
)

// Ask leaves a word in a folder for a probe to find.
func (f Folder) Ask(word string) error {
	if err := os.MkdirAll(string(f), 0o777); err != nil {
		return err
	}
	return atomicfile.WriteBytes(f.File(wordFile), 0o666, atomicfile.Durable, []byte(word))
}

// Answer writes down what a worker finds.
func (f Folder) Answer(version string) error {
	p := Probe{Time: time.Now(), Version: version, GPUs: os.Getenv(stage.VisibleGPUs), Threads: runtime.GOMAXPROCS(0)}
	word, err := os.ReadFile(f.File(wordFile))
	if err != nil {
		return err
	}
	p.Word = string(word)
	if p.Host, err = os.Hostname(); err != nil {
		return err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(f.File(probeFile), 0o666, atomicfile.Durable, b)
}

// Answered reads the answer; ok is false as long as there is none.
func (f Folder) Answered() (p Probe, ok bool) {
	b, err := os.ReadFile(f.File(probeFile))
	return p, err == nil && json.Unmarshal(b, &p) == nil
}
