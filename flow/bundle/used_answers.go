package bundle

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// answers packs the answers that the run used.
func (c *creator) answers(ctx context.Context) error {
	if err := c.findAnswers(ctx); err != nil || len(c.keys) == 0 {
		return err
	}
	it, err := answersItem(c.keys, c.src.Memo)
	if err != nil {
		return err
	}
	c.add(it)
	return nil
}

// findAnswers finds out which answers the run used.
func (c *creator) findAnswers(ctx context.Context) error {
	for _, n := range c.nodes {
		if n.Type.Class != stage.Sampled {
			continue
		}
		rec := newRecorder(c.src.Memo)
		why, err := c.again(ctx, n, rec)
		if err != nil {
			return fmt.Errorf("stage %s: %w", n.Name, err)
		}
		if why != "" {
			c.notes[n.Name] = why
			continue
		}
		c.used[n.Name] = len(rec.used)
		for k := range rec.used {
			c.keys[k] = true
		}
	}
	c.m.Answers = len(c.keys)
	return nil
}

// again runs a stage on the inputs that it had, with a memo that takes notes and
// nobody to ask. why says in which way the result did not come out again.
func (c *creator) again(ctx context.Context, n *graph.Node, rec *recorder) (why string, err error) {
	dir, err := os.MkdirTemp("", "distillflow-bundle-")
	if err != nil {
		return "", fmt.Errorf("running it again: %w", err)
	}
	defer os.RemoveAll(dir)
	task := stage.Task{
		Stage: n.Name, Type: n.Type.Type, Version: n.Type.Version, WorkDir: filepath.Join(dir, "work"),
		Inputs: map[string][]stage.Input{}, Outputs: map[string]string{},
	}
	if task.Config, err = n.Config.JSON(); err != nil {
		return "", err
	}
	for _, in := range n.Inputs {
		for _, src := range in.Sources {
			a := c.actions[src.Node]
			if a == nil {
				continue // a source that took no part
			}
			p, err := openOutput(c.src.Store, a.Outputs[src.Port.Name])
			if err != nil {
				return "", fmt.Errorf("its input %s: %w", src.Label(), err)
			}
			task.Inputs[in.Port.Name] = append(task.Inputs[in.Port.Name], stage.Input{Path: p, Label: src.Label()})
		}
	}
	for _, p := range n.Type.Outputs {
		if p.Kind != stage.RowsPort {
			return "it writes a folder", nil
		}
		task.Outputs[p.Name] = filepath.Join(dir, p.Name+".jsonl")
	}
	res, err := c.src.Registry.Run(ctx, task, stage.Services{Memo: rec, Getenv: c.src.Getenv, Warn: func(string) {}})
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "the memo no longer gives its answers: " + err.Error(), nil
	case res.Incomplete != "":
		return "the memo no longer gives its answers: " + res.Incomplete, nil
	}
	for port, file := range task.Outputs {
		d, err := digestOf(file)
		if err != nil {
			return "", fmt.Errorf("running it again: %w", err)
		}
		if d != c.actions[n].Outputs[port].Digest {
			return "the memo now gives other answers than the run had", nil
		}
	}
	return "", nil
}

func openOutput(st *store.Store, o store.Output) (string, error) {
	if o.Kind == store.KindDir {
		return st.VerifiedTree(o.Digest)
	}
	return st.VerifiedPath(o.Digest)
}

func digestOf(file string) (store.Digest, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := newSummed(io.Discard)
	_, err = io.Copy(sum, f)
	return sum.digest(), err
}
