package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/withflags"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/suggest"
	"github.com/distillflow/distillflow/schema"
)

func (a app) stageCmd() *cobra.Command {
	var with []string
	var port, outDir string
	var seed uint64
	c := &cobra.Command{
		Use:   "stage TYPE [--with key=value]... < in.jsonl > out.jsonl",
		Short: "Run one stage as a Unix filter",
		Long: `stage runs one stage type outside any recipe: rows of its default input come from
standard input, rows of its default output go to standard output. Rows may have
paths or, as runs save them, parallel lists (prompts, responses, ...). Values of
--with are read as YAML; a dotted key reaches into a map. Nothing is cached,
but paid answers are remembered as always.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			reg, err := registry()
			if err != nil {
				return err
			}
			t, err := lookup(reg, pos[0])
			if err != nil {
				return err
			}
			f := filter{app: a, typ: t, reg: reg, port: port, outDir: outDir, seed: seed}
			return f.run(c.Context(), with)
		},
	}
	c.Flags().StringArrayVar(&with, "with", nil, "set a config field as `key=value` (repeatable)")
	c.Flags().StringVar(&port, "port", "", "print this output `port` instead of the default one")
	c.Flags().StringVar(&outDir, "out", "", "write every output into this `folder` instead of printing one")
	c.Flags().Uint64Var(&seed, "seed", flow.DefaultSeed, "the seed")
	return c
}

// filter is one stage run between standard input and output.
type filter struct {
	app
	typ    *stage.Type
	reg    *stage.Registry
	port   string
	outDir string
	seed   uint64
}

func (f filter) run(ctx context.Context, with []string) error {
	out, ok := f.typ.Output(f.port)
	if !ok {
		return usageError{fmt.Errorf("%s has no output %q", f.typ.Type, f.port)}
	}
	if out.Kind != stage.RowsPort && f.outDir == "" {
		return usageError{fmt.Errorf("output %q of %s is a folder; give --out FOLDER", out.Name, f.typ.Type)}
	}
	cfg, err := f.config(with)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "distillflow-stage-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	task := stage.Task{
		Stage: f.typ.Type, Type: f.typ.Type, Version: f.typ.Version, Config: cfg,
		Inputs: map[string][]stage.Input{}, Outputs: map[string]string{}, WorkDir: filepath.Join(tmp, "work"),
	}
	if f.typ.Class.UsesSeed() {
		task.Seed = plan.StageSeed(f.seed, f.typ.Type, "")
	}
	if err := f.input(task, tmp); err != nil {
		return err
	}
	dir := f.outDir
	if dir == "" {
		dir = tmp
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range f.typ.Outputs {
		name := p.Name
		if p.Kind == stage.RowsPort {
			name += ".jsonl"
		}
		task.Outputs[p.Name] = filepath.Join(dir, name)
	}
	memo := flow.UserMemo("", f.getenv)
	res, err := f.reg.Run(ctx, task, stage.Services{
		Memo: memo, Getenv: f.getenv,
		Warn: func(m string) { fmt.Fprintf(f.err, "warning: %s\n", m) },
	})
	if err = errors.Join(err, memo.Close()); err != nil {
		return err
	}
	if res.Incomplete != "" {
		fmt.Fprintf(f.err, "warning: incomplete: %s\n", res.Incomplete)
	}
	if f.outDir != "" {
		return nil
	}
	for _, p := range f.typ.Outputs {
		if n := res.Rows[p.Name]; n > 0 && p.Name != out.Name {
			fmt.Fprintf(f.err, "%s: %d rows not shown; see --port %s or --out\n", p.Name, n, p.Name)
		}
	}
	return copyOut(f.out, task.Outputs[out.Name])
}

// input connects standard input to the one rows input that the stage has.
func (f filter) input(task stage.Task, tmp string) error {
	if len(f.typ.Inputs) == 0 {
		return nil
	}
	in := f.typ.Inputs[0]
	if in.Kind != stage.RowsPort {
		return usageError{fmt.Errorf("%s reads %s, which cannot come from standard input; use it in a recipe", f.typ.Type, in.TypeName())}
	}
	for _, p := range f.typ.Inputs[1:] {
		if !p.Optional {
			return usageError{fmt.Errorf("%s has more than one input; use it in a recipe", f.typ.Type)}
		}
	}
	path := filepath.Join(tmp, "stdin.jsonl")
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	if in.Record == (schema.Problem{}).RecordType() {
		err = copyProblems(w, f.in)
	} else {
		_, err = io.Copy(w, f.in)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	task.Inputs[in.Name] = []stage.Input{{Path: path, Label: "stdin"}}
	return nil
}

// copyProblems turns rows in the saved layout, with parallel lists, into rows with
// paths, which stages read. Other lines, and all line numbers, stay as they are.
func copyProblems(to io.Writer, from io.Reader) error {
	w := bufio.NewWriterSize(to, 256<<10)
	next := 1
	for line, err := range stage.Lines(from) {
		if err != nil {
			return err
		}
		for ; next < line.Number; next++ {
			w.WriteByte('\n')
		}
		text := line.Text
		if bytes.Contains(text, []byte(`"prompts"`)) || bytes.Contains(text, []byte(`"responses"`)) {
			row, err := schema.FromLists(text)
			if err == nil {
				text, err = row.AppendJSON(nil)
			}
			if err != nil {
				return fmt.Errorf("stdin:%d: %w", line.Number, err)
			}
		}
		w.Write(text)
	}
	return w.Flush()
}

// config builds the stage's config from --with.
func (f filter) config(with []string) ([]byte, error) {
	tree, err := withflags.Tree(with)
	if err != nil {
		return nil, usageError{err}
	}
	f.typ.MapPaths(tree, func(_ []string, p string) string {
		if abs, err := filepath.Abs(p); err == nil && !strings.Contains(p, "://") {
			return abs
		}
		return p
	})
	cfg, errs := f.typ.Decode(tree)
	if len(errs) > 0 {
		var all []error
		for _, e := range errs {
			msg := error(e)
			if s := suggest.Near(e.Got, e.Candidates); e.Got != "" && s != "" {
				msg = fmt.Errorf("%w; did you mean %q?", e, s)
			}
			all = append(all, msg)
		}
		return nil, usageError{fmt.Errorf("%w\n'distillflow stages %s' shows the fields", errors.Join(all...), f.typ.Type)}
	}
	return cfg.JSON()
}

func copyOut(w io.Writer, path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	b := bufio.NewWriterSize(w, 256<<10)
	_, err = io.Copy(b, r)
	return errors.Join(err, b.Flush())
}
