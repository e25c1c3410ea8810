package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Task is one stage run as plain data: it can be written to a file and run in
// any process that knows the stage type.
type Task struct {
	Stage   string             `json:"stage"` // name in the recipe, for messages
	Type    string             `json:"type"`
	Version int                `json:"version"`
	Config  json.RawMessage    `json:"config"`
	Inputs  map[string][]Input `json:"inputs,omitempty"`
	Outputs map[string]string  `json:"outputs"` // port -> file or folder to create
	Seed    uint64             `json:"seed,omitempty"`
	Key     string             `json:"key,omitempty"`    // see [Env]
	Recipe  string             `json:"recipe,omitempty"` // see [Env]
	WorkDir string             `json:"work_dir"`
	GPUs    []string           `json:"gpus,omitempty"` // see [Env]
	Needs   Needs              `json:"needs,omitzero"`
	// Shard is the task's number among the Shards of a stage that share out its rows, from
	// 1; both are 0 for a task of its own.
	Shard  int `json:"shard,omitempty"`
	Shards int `json:"shards,omitempty"`
}

// Needs is what a task declares that it takes while it runs, for whoever must reserve
// it elsewhere. Zero means not declared.
type Needs struct {
	CPUs   float64       `json:"cpus,omitempty"`
	Memory int64         `json:"memory,omitempty"` // bytes
	GPUs   int64         `json:"gpus,omitempty"`
	Time   time.Duration `json:"time,omitempty"` // of one try, in nanoseconds
}

// Input is one connected upstream output.
type Input struct {
	Path   string `json:"path"`
	Label  string `json:"label"`            // names it in errors: "stage.port"
	Digest string `json:"digest,omitempty"` // of its content in the store, for whoever must bring it elsewhere
	Folder bool   `json:"folder,omitempty"` // of files, and not rows
}

// Result is what a finished task leaves besides its files.
type Result struct {
	Rows       map[string]int64   `json:"rows"`                 // port -> records
	Incomplete string             `json:"incomplete,omitempty"` // why the outputs are not final
	Stats      map[string]float64 `json:"stats,omitempty"`
	Means      map[string]Mean    `json:"means,omitempty"` // what those Stats are made of that do not add up
}

// Mean is a figure that is a sum over something: a share, a rate.
type Mean struct {
	Sum  float64 `json:"sum"`
	Over float64 `json:"over"` // above 0
}

type openField interface{ open(path, label string) any }

// Run executes a task. Its outputs are complete only if the error is nil.
func (r *Registry) Run(ctx context.Context, task Task, svc Services) (res Result, err error) {
	t, ok := r.Lookup(task.Type)
	if !ok {
		return res, fmt.Errorf("this program has no stage type %q", task.Type)
	}
	if task.Version != t.Version {
		return res, fmt.Errorf("the task wants %s version %d, this program has %d", task.Type, task.Version, t.Version)
	}
	cfg := t.newConfig()
	if len(task.Config) > 0 {
		d := json.NewDecoder(bytes.NewReader(task.Config))
		d.UseNumber()
		var tree any
		if err := d.Decode(&tree); err != nil {
			return res, fmt.Errorf("config of %s: %w", task.Type, err)
		}
		c, errs := t.Decode(tree)
		if len(errs) > 0 {
			return res, fmt.Errorf("config of %s: %w", task.Type, errs[0])
		}
		cfg = c.v
	}
	if err := wired(cfg, func(input string) int { return len(task.Inputs[input]) }); err != nil {
		return res, err
	}
	ins, err := t.bindInputs(task)
	if err != nil {
		return res, err
	}
	outs, fields, err := t.bindOutputs(task)
	if err != nil {
		return res, err
	}
	env := NewEnv(task.Seed, task.WorkDir, svc)
	env.Key, env.Recipe, env.GPUs, env.stage = task.Key, task.Recipe, task.GPUs, task.Stage
	err = parallel.Call(func() error { return t.run(ctx, env, cfg, ins, outs) })
	res.Rows = map[string]int64{}
	for name, f := range fields {
		n, ferr := f.finish()
		if ferr != nil {
			err = errors.Join(err, fmt.Errorf("finishing output %s: %w", name, ferr))
		}
		res.Rows[name] = n
	}
	if err == nil {
		err = ctx.Err()
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	res.Incomplete, res.Stats, res.Means = env.incomplete, env.stats, env.means
	return res, err
}

func (t *Type) bindInputs(task Task) ([]binding, error) {
	var bs []binding
	in := t.inputFields()
	for _, p := range t.Inputs {
		given := task.Inputs[p.Name]
		switch {
		case len(given) == 0 && !p.Optional && !p.Many:
			return nil, fmt.Errorf("%s: input %q is not connected", task.Type, p.Name)
		case len(given) > 1 && !p.Many:
			return nil, fmt.Errorf("%s: input %q takes one source, got %d", task.Type, p.Name, len(given))
		case len(given) == 0:
			continue
		}
		elem := in[p.Name]
		if p.Many {
			list := reflect.MakeSlice(reflect.SliceOf(elem), 0, len(given))
			for _, g := range given {
				list = reflect.Append(list, reflect.ValueOf(reflect.Zero(elem).Interface().(openField).open(g.Path, g.Label)))
			}
			bs = append(bs, binding{p.index, list})
			continue
		}
		v := reflect.Zero(elem).Interface().(openField).open(given[0].Path, given[0].Label)
		bs = append(bs, binding{p.index, reflect.ValueOf(v)})
	}
	return bs, nil
}

func (t *Type) bindOutputs(task Task) ([]binding, map[string]outputField, error) {
	var bs []binding
	fields := map[string]outputField{}
	for _, p := range t.Outputs {
		path, ok := task.Outputs[p.Name]
		if !ok {
			return nil, nil, fmt.Errorf("%s: no place for output %q", task.Type, p.Name)
		}
		f := t.newOutput[p.Name]()
		if err := f.create(path); err != nil {
			for _, done := range fields {
				_, _ = done.finish() // close what is open; the task has failed
			}
			return nil, nil, err
		}
		fields[p.Name] = f
		bs = append(bs, binding{p.index, reflect.ValueOf(f)})
	}
	if task.WorkDir != "" && t.Class != Pure {
		if err := os.MkdirAll(task.WorkDir, 0o755); err != nil {
			return nil, nil, fmt.Errorf("creating the scratch folder: %w", err)
		}
	}
	return bs, fields, nil
}
