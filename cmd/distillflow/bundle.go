package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/bundleview"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/paths"
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

--artifacts says which results the bundle holds. none: none. pinned: those of
training and exec, which another machine may not repeat to the bit; without them a
replay on other hardware may deviate. final: also those that no other stage reads.
all: every one, so that a replay runs nothing. --stage adds those of one stage.

The bundle holds data sets of the Hugging Face Hub as it holds files. Of models it
holds the small files, and the names, commits and checksums of the weights. A replay
needs the weights only for a stage that it must run, and says so. --models packs the
weights too.

The bundle holds answers as the provider sent them, and input files as they are:
look with 'distillflow bundle show' before you hand it on. It holds no API keys, but
it holds the values of the environment variables that the recipe lists under env:.`,
		Example: `  distillflow bundle create last gsm8k.tar.zst recipes/gsm8k.yaml
  distillflow bundle create 20260102-15 small.tar.zst --artifacts none --no-inputs`,
		Args: args(cobra.RangeArgs(2, 3)),
		RunE: func(c *cobra.Command, pos []string) error {
			if !slices.Contains(bundle.Choices(), artifacts) {
				return usageError{fmt.Errorf("--artifacts %q: want one of %s", artifacts, strings.Join(bundle.Choices(), ", "))}
			}
			if noInputs && c.Flags().Changed("inputs") {
				return usageError{errors.New("--inputs and --no-inputs: give only one of them")}
			}
			if _, err := os.Stat(filepath.Dir(pos[1])); err != nil {
				return usageError{fmt.Errorf("writing %s: %w", pos[1], paths.Cause(err))}
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
			o := bundle.Options{Artifacts: bundle.Artifacts(artifacts), Stages: stages, Inputs: inputs && !noInputs, Models: models}
			m, err := a.writeBundle(c.Context(), st, run, o, pos[1])
			if err != nil {
				return err
			}
			info, err := os.Stat(pos[1])
			if err != nil {
				return err
			}
			bundleview.Created(a.out, a.notes(), pos[1], info.Size(), m)
			return nil
		},
	}
	f.add(c)
	c.Flags().StringVar(&artifacts, "artifacts", string(bundle.PinnedArtifacts), "which results to pack: `"+strings.Join(bundle.Choices(), "|")+"`")
	c.Flags().StringArrayVar(&stages, "stage", nil, "pack the result of this `stage` too (repeatable)")
	c.Flags().BoolVar(&inputs, "inputs", true, "pack the files that the stages read")
	c.Flags().BoolVar(&noInputs, "no-inputs", false, "leave these files out: a replay then needs them from elsewhere")
	c.Flags().BoolVar(&models, "models", false, "pack the weights of models from the Hugging Face Hub too")
	return c
}

// writeBundle packs a run into a file.
func (a app) writeBundle(ctx context.Context, st *store.Store, run store.RunInfo, o bundle.Options, file string) (m *bundle.Manifest, err error) {
	src, err := a.bundleSource(st, run)
	if err != nil {
		return nil, err
	}
	memo := flow.UserMemo("", a.getenv)
	defer memo.Close() // it is only read
	src.Memo = memo
	err = atomicfile.Write(file, 0o644, atomicfile.Durable, func(w io.Writer) (err error) {
		m, err = bundle.Create(ctx, w, src, o)
		return err
	})
	return m, err
}

// bundleSource reads a run's recipe as the run did, from what is on this machine.
func (a app) bundleSource(st *store.Store, run store.RunInfo) (src bundle.Source, err error) {
	reg, err := registry()
	if err != nil {
		return src, err
	}
	if err := os.Setenv("HF_HUB_OFFLINE", "1"); err != nil {
		return src, err
	}
	src, err = bundle.SourceOf(st, run, reg, a.cutOff)
	src.Program = version
	return src, a.loadProblems(err)
}

// loadProblems shows what is wrong with the recipe of a bundle.
func (a app) loadProblems(err error) error {
	var load *bundle.LoadError
	if !errors.As(err, &load) {
		return err
	}
	if rerr := load.Problems.Render(a.notes(), load.Recipe.Sources); rerr != nil {
		return rerr
	}
	return shownError{usageError{err}}
}

// cutOff is the environment of stages that may call no provider.
func (a app) cutOff(name string) string {
	if name == providers.OfflineEnv {
		return "1"
	}
	return a.getenv(name)
}
