// Command distillflow runs chain-of-thought distillation experiments from YAML
// recipes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/internal/base/secret"
	"github.com/distillflow/distillflow/internal/base/text"
)

// The exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2   // invalid recipe or usage
	exitBudget      = 3   // stopped by a budget
	exitDeviates    = 4   // the run deviates from its lock
	exitInterrupted = 130 // as a shell reports SIGINT
)

// app is what commands need of the process, so that tests can replace it.
type app struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	getenv func(string) string
	fault  func(point string) // crash tests stop the process here; nil otherwise
	now    func() time.Time   // and let its clock jump; nil otherwise
}

// usageError is a mistake in the command line or the recipe.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// shownError was already shown to the user.
type shownError struct{ error }

func (e shownError) Unwrap() error { return e.error }

func main() { os.Exit(newApp().run(untilSignal(), os.Args[1:])) }

// newApp is the app of this process.
func newApp() app {
	a := app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	if isTerminal(os.Stdout) {
		a.out = text.Screen(os.Stdout) // models, data sets and recipes wrote much of what is shown
	}
	return a
}

// untilSignal ends with the first interrupt; a second one ends the process at once.
func untilSignal() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

// run executes one command line and gives its exit status.
func (a app) run(ctx context.Context, args []string) (status int) {
	defer func() {
		if p := recover(); p != nil {
			// The runtime would print it as it is, with whatever it holds.
			a.printError(fmt.Errorf("this is a mistake in distillflow; please report it: %v\n%s", p, debug.Stack()))
			status = exitFailed
		}
	}()
	root := a.root()
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) { // a shell asks; cobra keeps what it is told for ever
		a.complete(root)
	}
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.notes())
	err := root.ExecuteContext(ctx)
	if err != nil {
		var shown shownError
		if !errors.As(err, &shown) {
			a.printError(err)
		}
	}
	return exitStatus(ctx, err)
}

func exitStatus(ctx context.Context, err error) int {
	var usage usageError
	var diags diag.List
	var deviates *lock.DeviationError
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled), errors.Is(err, flow.ErrStopped):
		return exitInterrupted
	case errors.As(err, &deviates):
		return exitDeviates
	case errors.As(err, &usage), errors.As(err, &diags):
		return exitUsage
	case exec.OverBudget(err):
		return exitBudget
	}
	return exitFailed
}

// notes is where errors and warnings go. They quote recipes, files, servers and programs.
func (a app) notes() io.Writer { return text.Screen(a.err) }

func (a app) printError(err error) {
	known := secret.FromEnv(os.Environ())
	for _, e := range view.Errors(err) {
		fmt.Fprintf(a.notes(), "distillflow: %s\n", known.Hide(e.Error()))
	}
}

func (a app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "distillflow",
		Short: "Run chain-of-thought distillation experiments from YAML recipes",
		Long: `distillflow runs an experiment that a YAML recipe describes: it scans a dataset,
wraps each question in reasoning styles, asks a teacher, verifies and judges the
answers, trains two students with a router, and reports which style went to
which student. Every result is cached by the content it was made from.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, pos []string) error {
			if len(pos) == 0 {
				return nil
			}
			msg := fmt.Sprintf("unknown command %q", pos[0])
			if near := c.SuggestionsFor(pos[0]); len(near) > 0 {
				msg += fmt.Sprintf("; did you mean %q?", near[0])
			}
			return usageError{fmt.Errorf("%s\nrun 'distillflow --help' for the commands", msg)}
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nrun '%s --help' for the flags", err, c.CommandPath())}
	})
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.runCmd(), a.planCmd(), a.validateCmd(), a.stagesCmd(), a.stageCmd(), a.schemaCmd(), a.gradeCmd(), a.renderCmd(), a.mergeCmd(), a.versionCmd(), a.workerCmd(), a.cacheCmd(), a.initCmd(), a.fmtCmd(), a.testCmd(), a.runsCmd(), a.showCmd(), a.outputsCmd(), a.catCmd(), a.logCmd(), a.openCmd(), a.ctlCmd(), a.uiCmd(), a.auditCmd(), a.compareCmd(), a.bundleCmd(), a.pushCmd(), a.pullCmd(), a.memoCmd(), a.doctorCmd(), a.executorCmd())
	return root
}

// args wraps an argument check so that its error counts as a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%w\nusage: %s", err, c.UseLine())}
		}
		return nil
	}
}
