package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/llm/providers"
)

func (a app) bundleCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Pack a run into a file, and repeat it from there on another machine",
		Long: `bundle packs what another machine needs to repeat a run without a network and
without keys: the recipe with all its files, the lock, the input files, the
teacher's answers that the run used, and chosen results.`,
		Args: func(c *cobra.Command, pos []string) error {
			if len(pos) > 0 {
				return usageError{fmt.Errorf("bundle has no command %q\nrun 'distillflow bundle --help' for the commands", pos[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.bundleCreateCmd(), a.bundleReplayCmd(), a.bundleShowCmd())
	return c
}

func (a app) bundleCreateCmd() *cobra.Command {
	var f storeFlags
	var artifacts string
	var stages []string
	var inputs, noInputs, models bool
	c := &cobra.Command{
		Use:   "create RUN FILE.tar.zst [RECIPE]",
		Short: "Pack a run",
		Long: `create packs a run that is done. RUN is its id, the beginning of it, or "last";
'distillflow runs' lists them. The recipe and the files that it reads must be as
they were. The same run gives the same bytes.

--artifacts says which results go in. none: no result. pinned: those of stages
that another machine may not make again to the bit, which are training and exec;
without them a replay on other hardware may deviate. final: also those that no
other stage reads. all: every one, so that a replay has nothing to run. --stage
adds those of one stage.

Data sets of the Hugging Face Hub go in as files do. Of its models the small files
go in, and for the weights their names, commits and checksums: a replay needs them
only for a stage that it has to run, and says so. --models packs the weights too.

Answers are packed as the provider sent them, and input files as they are: look
with 'distillflow bundle show' before you hand a bundle on. API keys are in
neither; values of the environment variables that a recipe lists under env: are
in the bundle.`,
		Example: `  distillflow bundle create last gsm8k.tar.zst recipes/gsm8k.yaml
  distillflow bundle create 20260102-15 small.tar.zst --artifacts none --no-inputs`,
		Args: args(cobra.RangeArgs(2, 3)),
		RunE: func(c *cobra.Command, pos []string) error {
			if !slices.Contains(bundle.Choices(), artifacts) {
				return usageError{fmt.Errorf("--artifacts %q: want one of %s", artifacts, strings.Join(bundle.Choices(), ", "))}
			}
			if noInputs && c.Flags().Changed("inputs") {
				return usageError{errors.New("--inputs and --no-inputs: give one of them")}
			}
			st, err := f.open(a, optional(pos, 2), false)
			if err != nil {
				return err
			}
			defer st.Close()
			run, err := findRun(st, pos[0])
			if err != nil {
				return err
			}
			src, done, err := a.bundleSource(st, run)
			if err != nil {
				return err
			}
			defer done()
			o := bundle.Options{Artifacts: bundle.Artifacts(artifacts), Stages: stages, Inputs: inputs && !noInputs, Models: models}
			var m *bundle.Manifest
			size, err := writeWhole(pos[1], func(w *os.File) (err error) {
				m, err = bundle.Create(c.Context(), w, src, o)
				return err
			})
			if err != nil {
				return err
			}
			if n, size := leftOut(m); n > 0 {
				fmt.Fprintf(a.err, "distillflow: left out: %s of models (%s), which `bundle show` names; --models packs them\n", text.Plural(n, "file"), text.Size(size))
			}
			for _, s := range m.Stages {
				if s.Note != "" {
					fmt.Fprintf(a.err, "distillflow: the result of stage %s is packed: %s\n", s.Name, s.Note)
				}
			}
			fmt.Fprintf(a.out, "wrote %s (%s): %s, %s of a teacher, %s, %s packed\n", pos[1], text.Size(size), text.Plural(len(m.Stages), "stage"),
				text.Plural(m.Answers, "answer"), text.Plural(inputFiles(m, true), "input file"), text.Plural(packedResults(m), "result"))
			return nil
		},
	}
	f.add(c)
	c.Flags().StringVar(&artifacts, "artifacts", string(bundle.PinnedArtifacts), "which results to pack: `"+strings.Join(bundle.Choices(), "|")+"`")
	c.Flags().StringArrayVar(&stages, "stage", nil, "pack the result of this `stage` too (repeatable)")
	c.Flags().BoolVar(&inputs, "inputs", true, "pack the files that the stages read")
	c.Flags().BoolVar(&noInputs, "no-inputs", false, "leave these files out: whoever replays the bundle has to have them")
	c.Flags().BoolVar(&models, "models", false, "pack the weights of models from the Hugging Face Hub too")
	return c
}

// bundleSource reads a run's recipe as the run did. Call done afterwards.
func (a app) bundleSource(st *store.Store, run store.RunInfo) (src bundle.Source, done func(), err error) {
	reg, err := registry()
	if err != nil {
		return src, nil, err
	}
	tmp, err := os.MkdirTemp("", "distillflow-bundle-")
	if err != nil {
		return src, nil, err
	}
	defer os.RemoveAll(tmp)
	o, data, err := bundle.RecipeOptions(run, tmp)
	if err != nil {
		return src, nil, err
	}
	// Names of the Hub mean what they meant in the run, and not what has come since.
	if reg, err = lock.Pinned(reg, data.Pins); err != nil {
		return src, nil, err
	}
	if err := os.Setenv("HF_HUB_OFFLINE", "1"); err != nil {
		return src, nil, err
	}
	e := &flow.Engine{Registry: reg, Getenv: a.getenv}
	g, r, diags := e.Load(relative(run.RecipeID), o)
	if g == nil {
		if err := diags.Render(a.err, r.Sources); err != nil {
			return src, nil, err
		}
		return src, nil, shownError{usageError{diags.Err()}}
	}
	if len(run.Data) == 0 { // a run of an older program
		if data.Seed = flow.DefaultSeed; r.HasSeed {
			data.Seed = r.Seed
		}
	}
	memo := flow.UserMemo("", a.getenv)
	src = bundle.Source{Run: run, Graph: g, Seed: data.Seed, Store: st, Memo: memo, Registry: reg, Program: version, Getenv: a.cutOff}
	return src, func() { _ = memo.Close() }, nil // it was only read
}

// cutOff is the environment of stages that may call no provider.
func (a app) cutOff(name string) string {
	if name == providers.OfflineEnv {
		return "1"
	}
	return a.getenv(name)
}

// writeWhole writes a file that is there as a whole or not at all.
func writeWhole(path string, write func(*os.File) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".distillflow-*")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, usageError{fmt.Errorf("writing %s: there is no such folder", path)}
	}
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", path, pathCause(err))
	}
	defer os.Remove(f.Name()) // gone already after the rename
	if err = write(f); err == nil {
		size, err = f.Seek(0, 1)
	}
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return 0, err
	}
	return size, os.Rename(f.Name(), path)
}

func inputFiles(m *bundle.Manifest, packed bool) int {
	n := 0
	for _, in := range m.Inputs {
		if in.Packed == packed {
			n += len(in.Files)
		}
	}
	for _, f := range m.Remote {
		if f.Packed == packed && !f.Aside {
			n++
		}
	}
	return n
}

// leftOut counts the files of models that a bundle only names.
func leftOut(m *bundle.Manifest) (n int, size int64) {
	for _, f := range m.Remote {
		if f.Heavy && !f.Packed {
			n, size = n+1, size+f.Bytes
		}
	}
	return n, size
}

func packedResults(m *bundle.Manifest) int {
	n := 0
	for _, s := range m.Stages {
		if s.Packed {
			n++
		}
	}
	return n
}
