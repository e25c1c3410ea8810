package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/report"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/telemetry"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) runCmd() *cobra.Command {
	var f recipeFlags
	var jsonEvents, isolate, plain, quiet, writeLock, locked, onlyErrors bool
	var limits limitFlags
	var elsewhere executorFlags
	var cache cacheFlags
	var allow trustFlags
	var refresh []string
	var reportFile string
	var metricsAddr string
	c := &cobra.Command{
		Use:   "run RECIPE",
		Short: "Run a recipe",
		Long: `run takes the result of a stage from the store if nothing that it depends on has
changed, and runs the stage otherwise. Ctrl-C stops cleanly; the next run continues
from there.

--lock writes distillflow.lock beside the recipe after the run: for every stage
the digests of its inputs and results, its implementation version, its settings
and the seed. Keep it under version control. With --locked a run refuses to
deviate from it, says what differs, and ends with status 4. It reads models and data
sets of the Hugging Face Hub at the commits in the lock, and says where the Hub has a
newer one.

--refresh runs stages that ask a model even if they are cached, and buys every
answer again, even those in the memo of paid answers. The new result takes the place of
the old one if no request is left to repeat. If you interrupt such a run and repeat it
with the same flag, it buys no answer twice.

At its end, also after a failure or an interrupt, a run writes report.html beside its
saved outputs: one page that needs no other file, with its figures as SVG and PNG in
report_files. --report names another file. 'distillflow open' shows the copy that the
store keeps.

--only-errors asks again for the requests that failed, those among them that a provider
refused for good, and for nothing else: it runs the stages whose last result lacks
answers and what depends on them. All other answers come from the memo.

A recipe may be somebody else's. Before it runs a program (exec, verify-exec), sends a key
to a server that did not give it out, sends what it reads outside of its project to a
server that nobody knows, or saves outside of it, run shows what and asks, and remembers
the answer in ~/.config/distillflow/trust. Where nobody can be asked it refuses unless
--allow-exec, --allow-host or --allow-save allow it, and so does a line in that file, or for
programs a lock that was written here (SECURITY.md).
'distillflow validate' lists what a recipe may do.

Stages may declare resources: {cpus, memory, gpus}. What the running stages declare
never exceeds --cpus, --memory and --gpus, by default all that the machine has. A
stage that declares nothing counts against --jobs only.

--cache URL shares the results of stages, and paid answers, with whoever names the same
bucket or folder. What cannot be had there is made here. docs/cache.md explains it.

--executor NAME hands stages to another machine, such as a cluster; a stage may name its
own with executor:. docs/clusters.md explains the file of executors.

Exit status: 0 done, 1 a stage failed, 2 invalid recipe or usage, 3 stopped by
a budget, 4 the run deviates from the lock, 130 interrupted.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if writeLock && locked {
				return usageError{errors.New("--lock writes the lock and --locked follows it: give only one of them")}
			}
			if onlyErrors && len(refresh)+len(f.force) > 0 {
				return usageError{errors.New("--only-errors runs what lacks answers and nothing else: leave out --refresh and --force")}
			}
			f.locked = locked
			e, g, o, err := a.load(c.Context(), &f, pos[0])
			if err != nil {
				return err
			}
			if info, err := os.Stat(reportFile); err == nil && info.IsDir() {
				return usageError{fmt.Errorf("--report %s: it is a folder; name a file, such as %s", reportFile, filepath.Join(reportFile, report.Name))}
			}
			if err := refreshStages(g, &o, refresh); err != nil {
				return err
			}
			if o.Limits, err = limits.limits(a); err != nil {
				return err
			}
			if err := a.consent(c.Context(), allow, e, g, &o); err != nil {
				return err
			}
			if e.Cache, err = cache.open(c.Context(), a, true); err != nil {
				return err
			}
			if e.Executors, err = a.executors(c.Context(), &elsewhere, &cache, g); err != nil {
				return err
			}
			if e.Cache != nil {
				defer func() { _ = e.Cache.Close() }() // what it holds has arrived, or was given up with a warning
			}
			if locked {
				a.sayMoved(c.Context(), o.Locked.Pins())
			}
			if isolate {
				self, err := os.Executable()
				if err != nil {
					return err
				}
				e.Runner = local.Process{Argv: append([]string{self, "worker", "-"}, cache.worker()...)}
			}
			v := view.For(a.err, a.terminal() && !plain && !quiet, false)
			switch {
			case jsonEvents:
				v = view.For(a.out, false, true)
			case quiet:
				v = view.Plain(a.notes(), view.Options{Quiet: true})
			}
			if (!a.terminal() || plain) && !quiet { // the live view owns the terminal
				defer view.Downloads(a.notes())()
			}
			metrics, traces := &telemetry.Metrics{}, telemetry.NewTraces(a.getenv)
			if metricsAddr != "" {
				url, stop, err := telemetry.Serve(metricsAddr, metrics)
				if err != nil {
					return errors.Join(usageError{fmt.Errorf("--metrics-addr %s: %w; port 0 takes a free one", metricsAddr, err)}, v.Close())
				}
				fmt.Fprintf(a.notes(), "metrics at %s\n", url)
				defer func() { _ = stop() }() // the run is over, and has its own error
			}
			o.Sink, o.OnlyErrors = event.Tee(v.Event, metrics.Event, traces.Event), onlyErrors
			res, err := e.Run(c.Context(), g, o)
			verr := v.Close()
			if err := traces.Send(); err != nil {
				fmt.Fprintf(a.notes(), "distillflow: warning: %v\n", err)
			}
			if errors.Is(err, flow.ErrNoErrors) {
				err = usageError{err}
			}
			if res == nil {
				return errors.Join(err, verr)
			}
			if terr := a.tell(res, pos[0], f.store, reportFile, !jsonEvents); jsonEvents && reportFile == "" && terr != nil {
				fmt.Fprintf(a.notes(), "distillflow: the report could not be written: %v\n", terr)
			} else {
				err = errors.Join(err, terr)
			}
			if writeLock && err == nil {
				err = a.writeLock(c.Context(), allow, g, res)
			}
			return errors.Join(err, verr, res.Close())
		},
	}
	f.add(c)
	c.Flags().IntVarP(&f.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "how many stages run at a time")
	limits.add(c)
	elsewhere.add(c)
	cache.add(c)
	allow.add(c)
	allow.addSave(c)
	c.Flags().StringSliceVar(&refresh, "refresh", nil, "run these `stages` and buy their answers again, past cache and memo (comma-separated, repeatable)")
	c.Flags().StringVar(&reportFile, "report", "", "write the report to this `file` (default report.html beside the saved outputs)")
	c.Flags().BoolVar(&onlyErrors, "only-errors", false, "ask again for the requests that failed, and for nothing else")
	c.Flags().StringVar(&metricsAddr, "metrics-addr", "", "answer Prometheus at this `address`, such as 127.0.0.1:9464, while the run goes on")
	c.Flags().BoolVar(&writeLock, "lock", false, "write "+lock.FileName+" beside the recipe when the run is done")
	c.Flags().BoolVar(&locked, "locked", false, "refuse to deviate from "+lock.FileName)
	c.Flags().BoolVar(&jsonEvents, "json", false, "print events as JSON lines on standard output, without a summary")
	c.Flags().BoolVar(&isolate, "isolate", false, "run each stage in a process of its own")
	c.Flags().BoolVar(&plain, "plain", false, "plain lines instead of the live view")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "only warnings, what failed, and the end")
	return c
}

// tell writes the report of a run that has ended, and prints its end.
func (a app) tell(res *flow.Result, recipe, storeDir, reportFile string, summary bool) error {
	if res.ID == flow.Unrecorded { // the store is read-only
		if reportFile != "" {
			fmt.Fprintln(a.notes(), "distillflow: no report: the store is read-only, and what is not recorded cannot be reported")
		}
		if !summary {
			return nil
		}
		_, err := fmt.Fprintf(a.out, "this run is not recorded; 'distillflow runs %s' lists those that are\n", recipe)
		return err
	}
	st, err := store.Open(res.StoreDir, store.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	r, err := a.readRun(st, res.ID)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	place, err := report.Write(r, reportFile)
	var missing error
	switch {
	case err != nil && reportFile != "": // somebody waits for that file
		missing = fmt.Errorf("the report could not be written: %w", err)
	case err != nil: // the run is none the worse
		fmt.Fprintf(a.notes(), "distillflow: the report could not be written: %v\n", err)
	}
	if !summary {
		return errors.Join(missing, st.Close())
	}
	next := []string{"distillflow", "show", recipe}
	if i := slices.IndexFunc(r.Stages, func(s *runrecord.Stage) bool { return s.State == runrecord.Failed }); i >= 0 {
		next = []string{"distillflow", "log", recipe, r.Stages[i].Name}
	}
	if storeDir != "" && storeDir != a.getenv("DISTILLFLOW_STORE") {
		next = append(next, "--store", storeDir)
	}
	for i, word := range next {
		next[i] = text.ShellWord(word)
	}
	return errors.Join(missing, view.Summary(a.out, r, place, strings.Join(next, " ")), st.Close())
}

// refreshStages makes stages ask their model again: each is run though it may be
// cached, with its field refresh set, which is no part of its key, and the new answers
// take the place of the old ones.
func refreshStages(g *graph.Graph, o *flow.RunOptions, names []string) error {
	o.Replace = map[string]bool{}
	for _, name := range names {
		n := g.Node(name)
		switch {
		case n == nil:
			return usageError{fmt.Errorf("--refresh %s: the recipe has no such stage", name)}
		case !n.Config.SetFlag("refresh"):
			return usageError{fmt.Errorf("--refresh %s: %s asks no model; --force %s runs the stage again", name, n.Type.Type, name)}
		}
		o.Force[name] = true
	}
	for name := range o.Force { // also where the recipe sets refresh and the user forces the stage
		o.Replace[name] = g.Node(name).Config.Flag("refresh")
	}
	return nil
}

// terminal reports whether standard error is a terminal, where the live view
// goes.
func (a app) terminal() bool {
	f, ok := a.err.(*os.File)
	return ok && isTerminal(f) && a.getenv("TERM") != "dumb"
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
