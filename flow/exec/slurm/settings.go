package slurm

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/exec/serve"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
)

// Settings are what a user writes of a cluster. The zero value takes the cluster's
// defaults.
type Settings struct {
	Job `yaml:",inline"`

	Binary  string        `yaml:"binary"`   // distillflow on the nodes; "" is this program
	MaxJobs int           `yaml:"max_jobs"` // jobs of ours in the queue at a time; 0 is no limit
	Poll    time.Duration `yaml:"poll"`     // between two looks at the queue; 0 is 10 s
	Lag     time.Duration `yaml:"lag"`      // how late a file of a node may show here; 0 is a minute

	// Stages are other settings for some stages: by type, such as train-moe, or by a
	// pattern of names, such as "train-*". Of several that fit the longest pattern counts.
	Stages map[string]Job `yaml:"stages"`
}

// Job is what the job of a stage gets.
type Job struct {
	Partition string   `yaml:"partition"`
	Account   string   `yaml:"account"`
	QOS       string   `yaml:"qos"`
	GPUType   string   `yaml:"gpu_type"` // of --gres=gpu:TYPE:N; "" is any
	Flags     []string `yaml:"flags"`    // further ones of sbatch
	Setup     string   `yaml:"setup"`    // lines of shell before the worker, such as module load

	// What a stage gets whose recipe declares none. Empty leaves it to the cluster.
	CPUs   float64       `yaml:"cpus"`
	Memory string        `yaml:"memory"` // such as 16GB
	GPUs   int64         `yaml:"gpus"`
	Time   time.Duration `yaml:"time"`

	// Signal is how long before the end of its time a stage is told to stop, so that a
	// training can save a checkpoint; 0 is two minutes.
	Signal time.Duration `yaml:"signal"`

	Serve serve.Server `yaml:"serve"`
}

// over gives the settings with those of o where o has any.
func (j Job) over(o Job) Job {
	return Job{
		Partition: cmp.Or(o.Partition, j.Partition), Account: cmp.Or(o.Account, j.Account), QOS: cmp.Or(o.QOS, j.QOS),
		GPUType: cmp.Or(o.GPUType, j.GPUType), Flags: append(slices.Clip(j.Flags), o.Flags...), Setup: cmp.Or(o.Setup, j.Setup),
		CPUs: cmp.Or(o.CPUs, j.CPUs), Memory: cmp.Or(o.Memory, j.Memory), GPUs: cmp.Or(o.GPUs, j.GPUs),
		Time: cmp.Or(o.Time, j.Time), Signal: cmp.Or(o.Signal, j.Signal), Serve: cmp.Or(o.Serve, j.Serve),
	}
}

// check reports what is wrong with a job's settings.
func (j Job) check() error {
	_, err := recipe.ParseBytes(cmp.Or(j.Memory, "0"))
	if err != nil {
		err = fmt.Errorf("memory: %w", err)
	}
	if j.CPUs < 0 || math.IsNaN(j.CPUs) || j.GPUs < 0 || j.Time < 0 || j.Signal < 0 {
		err = errors.Join(err, errors.New("cpus, gpus, time and signal must not be negative"))
	}
	for _, f := range j.Flags {
		if !strings.HasPrefix(f, "-") {
			err = errors.Join(err, fmt.Errorf("flags: %q is no flag of sbatch: write them as --name=value", f))
		}
	}
	return errors.Join(err, j.Serve.Check())
}

// check reports all that is wrong with the settings.
func (s Settings) check() error {
	errs := []error{s.Job.check()}
	if s.MaxJobs < 0 || s.Poll < 0 || s.Lag < 0 {
		errs = append(errs, errors.New("max_jobs, poll and lag must not be negative"))
	}
	for name, j := range s.Stages {
		if _, err := path.Match(name, ""); err != nil {
			errs = append(errs, fmt.Errorf("stages: %q: %w", name, err))
		}
		if err := j.check(); err != nil {
			errs = append(errs, fmt.Errorf("stages: %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// request is what the job of one task asks of the cluster. Tasks with equal ones can be
// elements of one array.
type request struct {
	argv  []string // of sbatch
	setup string
	serve serve.Server
	had   stage.Needs // what the job gets
	key   string
}

// timeMargin is what a job gets beyond its stage's time: to start, and to write its
// result.
const timeMargin = 2 * time.Minute

// request gives what the task's job asks for: what the recipe declares, then what the
// settings of the stage say, then those of all.
func (s Settings) request(t stage.Task) request {
	j, best := s.Job, ""
	for name := range s.Stages {
		byName, _ := path.Match(name, t.Stage)
		if (byName || name == t.Type) && (len(name) > len(best) || len(name) == len(best) && name < best) {
			best = name
		}
	}
	if best != "" {
		j = j.over(s.Stages[best])
	}
	memory, _ := recipe.ParseBytes(cmp.Or(j.Memory, "0"))
	had := stage.Needs{
		CPUs: cmp.Or(t.Needs.CPUs, j.CPUs), Memory: cmp.Or(t.Needs.Memory, memory),
		GPUs: cmp.Or(t.Needs.GPUs, j.GPUs), Time: cmp.Or(t.Needs.Time, j.Time),
	}
	argv := []string{"--requeue"}
	add := func(flag, value string) {
		if value != "" {
			argv = append(argv, flag+value)
		}
	}
	add("--partition=", j.Partition)
	add("--account=", j.Account)
	add("--qos=", j.QOS)
	if had.CPUs > 0 {
		add("--cpus-per-task=", fmt.Sprint(int64(math.Ceil(had.CPUs))))
	}
	if had.Memory > 0 {
		add("--mem=", fmt.Sprintf("%dM", (had.Memory+1<<20-1)>>20))
	}
	if had.GPUs > 0 {
		gres := "gpu:"
		if j.GPUType != "" {
			gres += j.GPUType + ":"
		}
		add("--gres=", fmt.Sprint(gres, had.GPUs))
	}
	limit := had.Time
	if t.Needs.Time > 0 { // the worker minds that time itself, from when the stage begins
		limit += timeMargin + j.Serve.Patience()
	}
	if limit > 0 {
		minutes := int64(math.Ceil(limit.Minutes()))
		add("--time=", fmt.Sprint(minutes))
	}
	lead := cmp.Or(j.Signal, 2*time.Minute)
	if had.Time > 0 {
		lead = min(lead, max(limit/2, time.Second)) // a short job has to do something, too
	}
	add("--signal=", fmt.Sprintf("B:TERM@%d", int64(lead.Seconds())))
	argv = append(argv, j.Flags...)
	r := request{argv: argv, setup: j.Setup, serve: j.Serve, had: had}
	r.key = fmt.Sprintf("%q %q %+v", argv, r.setup, r.serve)
	return r
}

// Host is what a runner knows of the program that it is part of.
type Host struct {
	Version string   // as `distillflow version` prints it; for [Runner.Check]
	Worker  []string // flags of the worker
}

// binary gives the program that the nodes run.
func (s Settings) binary() (string, error) {
	if s.Binary != "" {
		return s.Binary, nil
	}
	return os.Executable()
}
