package recipetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/llm/providers"
	"github.com/distillflow/distillflow/internal/llm/recorded"
)

// Runner runs tests.
type Runner struct {
	Registry *stage.Registry
	Getenv   func(string) string
	Record   bool      // ask the models for answers that are not recorded
	Out      io.Writer // for the results
	JSON     bool      // one document, not lines

	dir    string            // temporary
	stores map[string]string // what the models answer -> store
}

// Run runs the cases one after the other; the engine uses the cores within one. It
// tells how many failed.
func (t *Runner) Run(ctx context.Context, suites []*Suite) (failed int, err error) {
	if t.dir, err = os.MkdirTemp("", "distillflow-test-*"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(t.dir)) }()
	t.stores = map[string]string{}
	v := results{w: t.Out, json: t.JSON}
	defer func() { err = errors.Join(err, v.close()) }()
	for _, s := range suites {
		for _, c := range s.cases {
			start := time.Now()
			r := t.run(ctx, s, c)
			if ctx.Err() != nil {
				return v.failed, fmt.Errorf("stopped: %w", context.Cause(ctx))
			}
			r.seconds = time.Since(start).Seconds()
			if err := v.show(s, c, r); err != nil {
				return v.failed, err
			}
		}
	}
	return v.failed, nil
}

// caseResult is how a case ended.
type caseResult struct {
	failures []Failure
	errs     []error    // stages that failed
	unused   []diag.Pos // answers of the test file that no request matched
	recorded int        // answers that were recorded
	into     string     // the file that they were recorded in
	seconds  float64
}

func (r *caseResult) passed() bool { return len(r.failures) == 0 && len(r.errs) == 0 }

// run runs one case and judges it.
func (t *Runner) run(ctx context.Context, s *Suite, c *boundCase) *caseResult {
	r := &caseResult{into: c.Record}
	replies := &replies{book: &recorded.Book{}, again: fmt.Sprintf("`distillflow test --record %s`", s.recipe), into: c.Record}
	var places []diag.Pos
	for _, src := range c.Teacher {
		replies.book.Add(src.Answers...)
		for i := range src.Answers {
			var p diag.Pos
			if i < len(src.Places) {
				p = src.Places[i]
			}
			places = append(places, p)
		}
	}
	storeDir, err := t.storeFor(c)
	if err != nil {
		r.errs = append(r.errs, err)
		return r
	}
	getenv := t.Getenv
	if !t.Record {
		getenv = func(name string) string { // recorded answers need no API key
			if name == providers.OfflineEnv {
				return "1"
			}
			return t.Getenv(name)
		}
	}
	runner := teacherless{inner: local.InProcess{Registry: t.Registry, Services: stage.Services{Getenv: t.Getenv}}, replies: replies, reg: t.Registry}
	if t.Record {
		memo := flow.UserMemo("", t.Getenv)
		defer func() {
			if err := memo.Close(); err != nil {
				r.errs = append(r.errs, err)
			}
		}()
		runner.inner.Services.Memo, replies.recording = memo, true
	}
	e := &flow.Engine{Registry: t.Registry, StoreDir: storeDir, MemoDir: filepath.Join(t.dir, "memo"), Getenv: getenv, Runner: runner}
	res, err := e.Run(ctx, c.graph, flow.RunOptions{Seed: c.Seed})
	if err != nil {
		r.errs = append(r.errs, view.Errors(err)...)
	}
	if fresh := replies.fresh(); len(fresh) > 0 { // also when the run failed: they were paid for
		r.recorded = len(fresh)
		if err := appendAnswers(c.Record, fresh); err != nil {
			r.errs = append(r.errs, err)
		}
	}
	if res == nil {
		return r
	}
	defer func() {
		if err := res.Close(); err != nil {
			r.errs = append(r.errs, err)
		}
	}()
	for _, x := range c.checks {
		f, err := x.judge(res)
		if err != nil {
			r.errs = append(r.errs, fmt.Errorf("%s: %w", x.check.Pos, err))
		}
		if f != nil {
			r.failures = append(r.failures, *f)
		}
	}
	if !asked(c, res) {
		return r
	}
	for i, used := range replies.book.Used() {
		if i < len(places) && !used && places[i].IsValid() {
			r.unused = append(r.unused, places[i])
		}
	}
	return r
}

// asked reports whether every stage that asks a model did so in this run, instead of
// taking the result of an earlier case.
func asked(c *boundCase, res *flow.Result) bool {
	return !slices.ContainsFunc(c.graph.Nodes, func(n *graph.Node) bool {
		return n.Type.Class == stage.Sampled && res.Outcome.States[n.Name] == exec.Cached
	})
}

// storeFor gives cases with the same answers one store, so that what they have in common
// runs once. The answers are not part of a stage's key, so other answers need another store.
func (t *Runner) storeFor(c *boundCase) (string, error) {
	var all [][]recorded.Answer
	for _, s := range c.Teacher {
		all = append(all, s.Answers)
	}
	b, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	id := hex.EncodeToString(sum[:])
	if t.Record { // answers may come from the case's models by now
		id = strconv.Itoa(len(t.stores))
	}
	if t.stores[id] == "" {
		t.stores[id] = filepath.Join(t.dir, fmt.Sprint("store", len(t.stores)))
	}
	return t.stores[id], nil
}

// judge compares a port of a run with what is expected of it. Of a stage that was not
// reached it says nothing: the errors say why.
func (x expected) judge(res *flow.Result) (*Failure, error) {
	label := x.node + "." + x.port.Name
	state := res.Outcome.States[x.node]
	skipped := state == exec.Skipped
	switch {
	case x.check.Kind == Skipped && skipped == x.check.Skipped:
		return nil, nil
	case x.check.Kind == Skipped && skipped, skipped:
		return &Failure{Check: x.check, Label: label, Got: "the stage was skipped"}, nil
	case x.check.Kind == Skipped && (state == exec.Done || state == exec.Cached):
		return &Failure{Check: x.check, Label: label, Got: "the stage took part"}, nil
	}
	o, ok := res.Outcome.Outputs[x.node][x.port.Name]
	if !ok {
		return nil, nil
	}
	out := Output{Label: label, Record: x.port.Record, Rows: o.Rows, Digest: string(o.Digest)}
	if o.Kind == store.KindRows {
		out.Open = func() (io.ReadCloser, error) {
			path := res.Output(x.node, x.port.Name)
			if path == "" {
				return nil, errors.New("its rows are gone")
			}
			return os.Open(path)
		}
	}
	return x.check.Judge(out)
}

// appendAnswers adds answers to a file of recorded ones. The file is replaced as a whole:
// an interrupt leaves no half line.
func appendAnswers(path string, answers []recorded.Answer) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("recording answers: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("recording answers: %w", err)
	}
	if len(old) > 0 && old[len(old)-1] != '\n' {
		old = append(old, '\n')
	}
	err = atomicfile.Write(path, 0o644, atomicfile.Durable, func(w io.Writer) error {
		_, err := w.Write(old)
		return errors.Join(err, recorded.Write(w, answers))
	})
	if err != nil {
		return fmt.Errorf("recording answers: %w", err)
	}
	return nil
}
