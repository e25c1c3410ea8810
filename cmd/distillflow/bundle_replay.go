package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/bundleview"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/machine"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

func (a app) bundleReplayCmd() *cobra.Command {
	var dir, storeDir string
	var inputs []string
	var allowExec, fetch bool
	var jobs int
	var limits limitFlags
	c := &cobra.Command{
		Use:   "replay FILE.tar.zst",
		Short: "Repeat a packed run, and compare",
		Long: `replay unpacks a bundle into a folder and runs its recipe there, without a network
and without keys: the teacher's answers come from the bundle, and a missing one is an
error. Then replay says of each stage how its result compares with the run's:

  equal     the stage ran here and gave the same bytes
  packed    the result came from the bundle; the stage did not run
  deviates  the stage gave other bytes, with the reason where one is known
  missing   the stage failed, or reads a result that deviates

Data sets of the Hugging Face Hub come from the bundle. Weights that the bundle
leaves out come from this machine's cache of the Hub (HF_HOME) if their checksums are
right, and from the Hub only with --fetch. Stages whose results are packed need none.

replay writes nothing outside the folder and ignores save:. Stages that run a program
(exec, verify-exec) run only with --allow-exec unless their results are packed: a bundle's commands
can do whatever you can do.

Exit status: 0 everything is equal, 1 a stage failed, 2 the bundle or the usage
is wrong, 4 a result deviates, 130 interrupted.`,
		Example: `  distillflow bundle replay gsm8k.tar.zst
  distillflow bundle replay small.tar.zst --dir again --inputs data/gsm8k`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if dir == "" {
				name, _, _ := strings.Cut(filepath.Base(pos[0]), ".tar")
				dir = strings.TrimSuffix(name, ".zst") + ".replay"
			}
			reg, err := registry()
			if err != nil {
				return err
			}
			m, err := a.unpack(c, pos[0], dir)
			if err != nil {
				return err
			}
			o := bundle.ReplayOptions{Registry: reg, StoreDir: storeDir, Inputs: inputs, Getenv: a.cutOff,
				Caches: []string{hub.FromEnv(a.getenv).CacheDir}, Fetch: fetch}
			if err := hubOf(dir, fetch); err != nil {
				return err
			}
			defer view.Downloads(a.notes())()
			if !allowExec {
				o.Refuse = func(t stage.Task) error {
					if !startsProgram(reg, t) {
						return nil
					}
					return errors.New("it runs a program of the bundle, and its result is not packed: read the recipe, and give --allow-exec if you trust it")
				}
			}
			if o.Run.Limits, err = limits.limits(a); err != nil {
				return err
			}
			v := view.For(a.err, a.terminal(), false)
			o.Run.Jobs, o.Run.Sink = jobs, v.Event
			list, err := bundle.Replay(c.Context(), dir, m, o)
			err = errors.Join(err, v.Close(), bundleview.Verdicts(a.out, list))
			var dev *lock.DeviationError // its stages stand in the table
			if !errors.As(err, &dev) {
				return a.loadProblems(err)
			}
			if m.Program != version {
				fmt.Fprintf(a.notes(), "distillflow: version %s made the bundle, this is %s\n", m.Program, version)
			}
			return shownError{err}
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "unpack into this `folder`, empty or new (default: the bundle's name with .replay, here)")
	c.Flags().StringVar(&storeDir, "store", "", "the store's `folder` (default: a new one in --dir, so that everything runs)")
	c.Flags().StringArrayVar(&inputs, "inputs", nil, "look in this `folder` for input files that the bundle leaves out (repeatable)")
	c.Flags().BoolVar(&fetch, "fetch", false, "load what the bundle leaves out from the Hugging Face Hub, at the commits of the run")
	c.Flags().BoolVar(&allowExec, "allow-exec", false, "let stages run the commands of the bundle")
	c.Flags().IntVarP(&jobs, "jobs", "j", runtime.GOMAXPROCS(0), "how many stages run at a time")
	limits.add(c)
	return c
}

// startsProgram reports whether a task starts a program. One that cannot be told does.
func startsProgram(reg *stage.Registry, t stage.Task) bool {
	typ, ok := reg.Lookup(t.Type)
	var tree any
	if !ok || json.Unmarshal(t.Config, &tree) != nil {
		return true
	}
	c, errs := typ.Decode(tree)
	return len(errs) > 0 || len(c.Reach(func(string) string { return "" }).Commands) > 0
}

// hubOf lets everything in this process that reads the Hub's cache read that of an
// unpacked bundle.
func hubOf(dir string, fetch bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	err = os.Setenv("HF_HUB_CACHE", bundle.CacheDir(dir))
	if !fetch {
		err = errors.Join(err, os.Setenv("HF_HUB_OFFLINE", "1"))
	}
	return err
}

func (a app) unpack(c *cobra.Command, file, dir string) (*bundle.Manifest, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("bundle %s: %w", file, paths.Cause(err))}
	}
	defer f.Close()
	head, err := bundle.ReadManifest(f)
	if err == nil {
		err = fits(head.Total(), dir)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("bundle %s: %w", file, err)}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	m, err := bundle.Unpack(c.Context(), f, dir)
	if err != nil && c.Context().Err() == nil {
		err = usageError{fmt.Errorf("bundle %s: %w", file, err)}
	}
	return m, err
}

// fits reports whether the disk of a folder, which need not be there yet, has room.
func fits(need int64, dir string) error {
	for dir, err := filepath.Abs(dir); err == nil; dir = filepath.Dir(dir) {
		if free, err := machine.DiskFree(dir); err == nil {
			if need > free {
				return fmt.Errorf("unpacked it has %s, and %s has room for %s: name a folder on another disk with --dir", text.Size(need), dir, text.Size(free))
			}
			return nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return nil // nobody knows
}

func (a app) bundleShowCmd() *cobra.Command {
	var asJSON, files bool
	c := &cobra.Command{
		Use:   "show FILE.tar.zst",
		Short: "Show what a bundle holds",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			f, err := os.Open(pos[0])
			if err != nil {
				return usageError{fmt.Errorf("bundle %s: %w", pos[0], paths.Cause(err))}
			}
			defer f.Close()
			m, err := bundle.ReadManifest(f)
			if err != nil {
				return usageError{fmt.Errorf("bundle %s: %w", pos[0], err)}
			}
			if asJSON {
				return bundleview.JSON(a.out, m)
			}
			return bundleview.Show(a.out, m, files)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print its manifest as JSON")
	c.Flags().BoolVar(&files, "files", false, "list every file in it")
	return c
}
