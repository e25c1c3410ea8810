package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/stages/data"
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
and without keys: each of the teacher's answers comes from the bundle, and one that
is missing is an error. Then it tells for each stage whether its result is that of
the run:

  equal     it ran here and gave the same bytes
  packed    its result was taken from the bundle and not made again
  deviates  it gave other bytes; why is told as far as it can be
  missing   it failed, or would have read what deviates

Data sets of the Hugging Face Hub come from the bundle. A model whose weights it
leaves out is taken from this machine's cache of the Hub (HF_HOME) if the checksum
is right, and asked for with --fetch only; stages whose results are packed need none.

Nothing is written outside the folder; save: is left alone. Stages that run a
command (exec) run only with --allow-exec unless their results are packed: a
bundle's commands can do whatever you can do.

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
			defer a.showDownloads()()
			if !allowExec {
				o.Refuse = func(t stage.Task) error {
					if t.Type != data.Exec.Type {
						return nil
					}
					return errors.New("it runs a command of the bundle, and its result is not packed: look at the recipe, and give --allow-exec if you trust it")
				}
			}
			if o.Run.Limits, err = limits.limits(a); err != nil {
				return err
			}
			v := view.For(a.err, a.terminal(), false)
			o.Run.Jobs, o.Run.Sink = jobs, v.Event
			list, err := bundle.Replay(c.Context(), dir, m, o)
			return a.verdicts(m, list, errors.Join(err, v.Close()))
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "unpack into this `folder`, empty or new (default: the bundle's name with .replay, here)")
	c.Flags().StringVar(&storeDir, "store", "", "the store's `folder` (default: one of its own in --dir, so that everything is made anew)")
	c.Flags().StringArrayVar(&inputs, "inputs", nil, "look in this `folder` for input files that the bundle leaves out (repeatable)")
	c.Flags().BoolVar(&fetch, "fetch", false, "load what the bundle leaves out from the Hugging Face Hub, at the commits of the run")
	c.Flags().BoolVar(&allowExec, "allow-exec", false, "let stages run the commands of the bundle")
	c.Flags().IntVarP(&jobs, "jobs", "j", runtime.GOMAXPROCS(0), "how many stages run at a time")
	limits.add(c)
	return c
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
		return nil, usageError{fmt.Errorf("opening the bundle %s: %w", file, pathCause(err))}
	}
	defer f.Close()
	m, err := bundle.Unpack(c.Context(), f, dir)
	if err != nil && c.Context().Err() == nil {
		err = usageError{fmt.Errorf("the bundle %s cannot be used: %w", file, err)}
	}
	return m, err
}

// verdicts prints how the stages of a replay compare. Deviations are shown so,
// and not again as an error.
func (a app) verdicts(m *bundle.Manifest, list []bundle.Compared, err error) error {
	var load *bundle.LoadError
	if errors.As(err, &load) {
		if rerr := load.Problems.Render(a.err, load.Recipe.Sources); rerr != nil {
			return rerr
		}
		return shownError{usageError{err}}
	}
	tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	count := map[bundle.Verdict]int{}
	for _, c := range list {
		count[c.Verdict]++
		reason, _, _ := strings.Cut(c.Reason, "\n")
		fmt.Fprintln(tw, strings.TrimRight(fmt.Sprintf("%s\t%s\t%s", c.Verdict, c.Stage, reason), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(list) > 0 {
		fmt.Fprintf(a.out, "\n%s: %d equal, %d packed, %d deviate, %d missing\n", text.Plural(len(list), "stage"),
			count[bundle.Equal], count[bundle.Packed], count[bundle.Deviates], count[bundle.Missing])
	}
	var dev *lock.DeviationError
	if errors.As(err, &dev) {
		if m.Program != version {
			fmt.Fprintf(a.err, "distillflow: the bundle was made by version %s, this is %s\n", m.Program, version)
		}
		return shownError{err}
	}
	return err
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
				return usageError{fmt.Errorf("opening the bundle %s: %w", pos[0], pathCause(err))}
			}
			defer f.Close()
			m, err := bundle.ReadManifest(f)
			if err != nil {
				return usageError{fmt.Errorf("the bundle %s cannot be used: %w", pos[0], err)}
			}
			if asJSON {
				var b bytes.Buffer
				e := json.NewEncoder(&b)
				e.SetEscapeHTML(false)
				e.SetIndent("", "  ")
				if err := e.Encode(m); err != nil {
					return err
				}
				_, err = a.out.Write(b.Bytes())
				return err
			}
			return a.showBundle(m, files)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print its manifest as JSON")
	c.Flags().BoolVar(&files, "files", false, "list every file in it")
	return c
}

func (a app) showBundle(m *bundle.Manifest, files bool) error {
	tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	row := func(title, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", title, fmt.Sprintf(format, args...))
	}
	row("made by", "distillflow %s on %s", m.Program, m.Host)
	row("recipe", "%s", m.Recipe)
	if m.Profile != "" {
		row("profile", "%s", m.Profile)
	}
	row("seed", "%d", m.Seed)
	row("answers", "%d", m.Answers)
	row("unpacked", "%s, %s", text.Plural(len(m.Entries), "file"), text.Size(m.Total()))
	for _, in := range m.Inputs {
		what := "packed"
		if !in.Packed {
			what = "left out"
		}
		row("input "+in.Dir, "%s, %s", text.Plural(len(in.Files), "file"), what)
	}
	for _, f := range m.Remote {
		what := "packed"
		if !f.Packed {
			what = "left out, " + string(f.Digest)
		}
		if !f.Aside {
			row("from "+f.URL, "%s, %s", text.Size(f.Bytes), what)
		}
	}
	for _, s := range m.Stages {
		what := s.Type + fmt.Sprintf(" version %d", s.Version)
		if s.Answers > 0 {
			what += ", " + text.Plural(s.Answers, "answer")
		}
		if s.Packed {
			what += ", result packed"
		}
		if s.Note != "" {
			what += " (" + s.Note + ")"
		}
		row("stage "+s.Name, "%s", what)
	}
	if files {
		for _, e := range m.Entries {
			row("file "+e.Path, "%s, %s", text.Size(e.Bytes), e.Digest)
		}
	}
	return tw.Flush()
}
