package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/trust"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
)

// trustFlags allow what a recipe may not do unasked.
type trustFlags struct {
	exec, save bool
	hosts      []string
}

func (f *trustFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.exec, "allow-exec", false, "let the recipe run its programs")
	c.Flags().StringArrayVar(&f.hosts, "allow-host", nil, "let keys, and what the recipe reads elsewhere, go to this `host`, or host:port (repeatable)")
}

func (f *trustFlags) addSave(c *cobra.Command) {
	c.Flags().BoolVar(&f.save, "allow-save", false, "let the recipe save outside of its project")
}

// policy is what the user allows: by flags, and by the file that remembers.
func (a app) policy(f trustFlags) (trust.Policy, error) {
	file, err := trust.Read(trust.Path(a.getenv))
	if err != nil {
		return trust.Policy{}, usageError{err}
	}
	p := trust.Policy{Exec: f.exec, Save: f.save, Hosts: f.hosts, File: file, Getenv: a.getenv}
	p.Dir, err = os.Getwd()
	return p, err
}

// consent makes a run obey what the user allows of a recipe. What nobody has allowed yet and
// the run would do, it asks about; where nobody can be asked it refuses.
func (a app) consent(ctx context.Context, f trustFlags, e *flow.Engine, g *graph.Graph, o *flow.RunOptions) error {
	p, err := a.policy(f)
	if err != nil {
		return err
	}
	p.Params = true
	open, err := p.Questions(ctx, g, lockText(o))
	if err != nil || len(open) == 0 {
		return err
	}
	pending, err := e.Pending(ctx, g, *o)
	if err != nil {
		return err
	}
	ask := slices.DeleteFunc(slices.Clone(open), func(q trust.Question) bool { return !q.Save && !pending[q.Node] })
	if len(ask) > 0 {
		if err := a.ask(ctx, p, g, ask); err != nil {
			return err
		}
	}
	// What seemed to be cached and is not after all was not asked about.
	refuse := func(save bool) func(*graph.Node) error {
		return func(n *graph.Node) error {
			for _, q := range open {
				if q.Node == n && q.Save == save && !slices.Contains(ask, q) {
					return usageError{fmt.Errorf("it wants to %s, which you have not allowed: run again, or give %s", q.What, q.Flag)}
				}
			}
			return nil
		}
	}
	o.PermitRun, o.PermitSave = refuse(false), refuse(true)
	return nil
}

// sayConsent says what the run of a plan will ask for.
func (a app) sayConsent(ctx context.Context, pl *plan.Plan, o *flow.RunOptions) error {
	p, err := a.policy(trustFlags{})
	if err != nil {
		return err
	}
	p.Params = true
	open, err := p.Questions(ctx, pl.Graph, lockText(o))
	if err != nil {
		return err
	}
	runs := map[*graph.Node]bool{}
	for _, s := range pl.Steps {
		runs[s.Node] = s.Status == plan.Run || s.Status == plan.Wait
	}
	open = slices.DeleteFunc(open, func(q trust.Question) bool { return !q.Save && !runs[q.Node] })
	if len(open) == 0 {
		return nil
	}
	fmt.Fprintf(a.out, "A run will ask you to allow this, or needs %s:\n", trust.Flags(open))
	return trust.Show(a.out, open)
}

// consentToTest asks for what the tests of a recipe do: they save nothing, and send keys
// only to record answers.
func (a app) consentToTest(ctx context.Context, f trustFlags, g *graph.Graph, record bool) error {
	p, err := a.policy(f)
	if err != nil {
		return err
	}
	open, err := p.Questions(ctx, g, "")
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(q trust.Question) bool { return q.Save || q.Line.Kind != "exec" && !record })
	if len(open) == 0 {
		return nil
	}
	return a.ask(ctx, p, g, open)
}

// ask shows what a recipe wants and takes the answer.
func (a app) ask(ctx context.Context, p trust.Policy, g *graph.Graph, list []trust.Question) error {
	var b strings.Builder
	if err := trust.Show(&b, list); err != nil {
		return err
	}
	name, dir := text.OneLine(paths.Relative(g.Recipe.File)), text.OneLine(trust.Folder(g.Recipe))
	refused := func(why string) error {
		return usageError{fmt.Errorf("%s asks for what you have not allowed, and %s:\n%sRead the recipe. If you trust it, give %s, or answer once in a terminal",
			name, why, b.String(), trust.Flags(list))}
	}
	out, ok := a.dialogue()
	if !ok {
		return refused("nobody can be asked here")
	}
	defer out.Close()
	all := fmt.Sprintf("   f: yes, and all that recipes in %s will ask for", dir)
	if !p.MayTrustFolder(g.Recipe) {
		all = ""
	}
	fmt.Fprintf(out, "%s asks for what you have not allowed yet:\n%sAllow it?  y: yes, and remember%s   n: no [n] ", name, b.String(), all)
	answer, err := a.line(ctx)
	if err != nil {
		return err
	}
	var lines []trust.Line
	switch answer = strings.ToLower(strings.TrimSpace(answer)); {
	case answer == "y", answer == "yes":
		for _, q := range list {
			lines = append(lines, q.Line)
		}
	case answer == "f" && all != "":
		lines = []trust.Line{{Kind: "folder", What: trust.Folder(g.Recipe)}}
	default:
		return refused("it was not allowed now")
	}
	if err := p.File.Remember(lines); err != nil {
		fmt.Fprintf(a.notes(), "distillflow: warning: your answer holds for this run only: %v\n", err)
	}
	return nil
}

// line reads a line from the user; an interrupt ends the wait.
func (a app) line(ctx context.Context) (string, error) {
	got := make(chan string, 1)
	wait := parallel.Start(func() error {
		s, err := bufio.NewReader(a.in).ReadString('\n')
		got <- s
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	})
	select {
	case s := <-got:
		return s, wait()
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// dialogue is where the user reads and answers; ok is false where nobody does. Standard
// error may be a file all the same.
func (a app) dialogue() (out io.WriteCloser, ok bool) {
	in, isFile := a.in.(*os.File)
	if !isFile || !trust.Answers(in) {
		return nil, false
	}
	out, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err == nil {
		return out, true
	}
	errs, isFile := a.err.(*os.File)
	return keptOpen{errs}, isFile && trust.Answers(errs)
}

// keptOpen is a stream that others still use.
type keptOpen struct{ io.Writer }

func (keptOpen) Close() error { return nil }

// lockText is the lock that a run follows; "" for none.
func lockText(o *flow.RunOptions) string {
	if o.Locked == nil {
		return ""
	}
	b, err := json.Marshal(o.Locked)
	if err != nil {
		return ""
	}
	return string(b)
}

// trustLock remembers, for `run --locked`, the commands of a run that wrote a lock: they were
// allowed.
func (a app) trustLock(ctx context.Context, f trustFlags, g *graph.Graph, lock string) error {
	p, err := a.policy(f)
	if err != nil {
		return err
	}
	lines, err := trust.Locked(ctx, g, a.getenv, lock)
	if err != nil {
		return err
	}
	open, err := p.Questions(ctx, g, "")
	if err != nil || slices.ContainsFunc(open, func(q trust.Question) bool { return q.Line.Kind == "exec" }) {
		return err // it came from the cache, and nobody has looked at its commands
	}
	if err := p.File.Remember(lines); err != nil {
		fmt.Fprintf(a.notes(), "distillflow: warning: run --locked will ask for the commands of the lock: %v\n", err)
	}
	return nil
}
