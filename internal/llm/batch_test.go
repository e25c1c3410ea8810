package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// onceMemo keeps the first value of a key, as the memo on disk does.
type onceMemo struct{ llmtest.Memo }

func (m *onceMemo) Put(key [32]byte, val []byte) error {
	if _, ok, _ := m.Get(key); ok {
		return nil
	}
	return m.Memo.Put(key, val)
}

// farm is a provider's batch API. It outlives the processes that talk to it.
type farm struct {
	limits  BatchLimits
	polls   int                                   // looks until a batch has ended
	answer  func(prompt string) (string, error)   // nil: "re: " + prompt
	finish  string                                // of every answer; "": none is named
	outcome func(n int) BatchState                // of the n-th batch; nil: completed
	submit  func(n int) (arrives bool, err error) // of the n-th attempt; nil: well

	mu       sync.Mutex
	batches  []*farmBatch
	attempts int
	bought   map[string]int // prompts, by how often they were bought
	singles  int            // calls outside batches
}

type farmBatch struct {
	name, id string
	elements []farmElement
	looks    int
}

type farmElement struct{ ID, Prompt string }

func (f *farm) Complete(_ context.Context, req Request) (*Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.singles++
	return ok("single: " + req.Messages[0].Content), nil
}

func (f *farm) BatchLimits() BatchLimits {
	if f.limits == (BatchLimits{}) {
		return BatchLimits{Requests: 1000, Bytes: 1 << 20}
	}
	return f.limits
}

func (f *farm) EncodeForBatch(id string, req Request) ([]byte, error) {
	return json.Marshal(farmElement{id, req.Messages[0].Content})
}

func (f *farm) SubmitBatch(_ context.Context, name, _ string, elements [][]byte) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	arrives, err := true, error(nil)
	if f.submit != nil {
		arrives, err = f.submit(f.attempts)
	}
	f.attempts++
	if !arrives {
		return "", err
	}
	j := &farmBatch{name: name, id: fmt.Sprint("batch", len(f.batches))}
	for _, e := range elements {
		var el farmElement
		if err := json.Unmarshal(e, &el); err != nil {
			return "", err
		}
		j.elements = append(j.elements, el)
		if f.bought == nil {
			f.bought = map[string]int{}
		}
		f.bought[el.Prompt]++
	}
	f.batches = append(f.batches, j)
	return j.id, err
}

func (f *farm) FindBatch(_ context.Context, name string, _ time.Time) (string, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.batches {
		if j.name == name {
			return j.id, true, nil
		}
	}
	return "", false, nil
}

func (f *farm) batch(id string) (*farmBatch, BatchState) {
	for i, j := range f.batches {
		if j.id == id {
			s := BatchState{Ended: true, Status: "completed", Total: len(j.elements), Done: len(j.elements)}
			if f.outcome != nil {
				s = f.outcome(i)
			}
			return j, s
		}
	}
	return nil, BatchState{}
}

func (f *farm) CancelBatch(context.Context, string) error { return nil }

func (f *farm) BatchState(_ context.Context, id string) (BatchState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, s := f.batch(id)
	if j == nil {
		return s, &Error{Kind: KindNotFound}
	}
	if j.looks++; j.looks <= f.polls {
		return BatchState{Status: "in_progress", Total: len(j.elements)}, nil
	}
	return s, nil
}

func (f *farm) BatchAnswers(_ context.Context, id string, each func(BatchAnswer) error) error {
	f.mu.Lock()
	j, s := f.batch(id)
	f.mu.Unlock()
	if s.Full {
		return nil
	}
	for i := range j.elements {
		if i >= s.Done {
			return nil // the batch ended without the rest
		}
		e := j.elements[len(j.elements)-1-i] // not in order
		text, err := "re: "+e.Prompt, error(nil)
		if f.answer != nil {
			text, err = f.answer(e.Prompt)
		}
		a := BatchAnswer{ID: e.ID, Err: err}
		if err == nil {
			a.Response = ok(text)
			a.Response.FinishReason = f.finish
		}
		if err := each(a); err != nil {
			return err
		}
	}
	return nil
}

func prompts(n int) iter.Seq2[Request, error] {
	return func(yield func(Request, error) bool) {
		for i := range n {
			if !yield(prompt(fmt.Sprint("p", i)), nil) {
				return
			}
		}
	}
}

// process is one run of a program that asks n prompts through batches.
type process struct {
	tr      *Transport
	batches *Batches
	ledger  *Ledger
	notes   []string
}

func newProcess(t *testing.T, f *farm, memo Memo, scope string, l Limits, o BatchOptions) *process {
	t.Helper()
	ledger, err := OpenLedger(memo, scope)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBudget(l, ledger)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{ledger: ledger}
	p.tr = NewTransport(Provider{Name: "test", Endpoint: "here", Client: f}, Options{Memo: memo, Budget: b, MaxRetries: 3,
		Concurrency: 4, Notify: func(s string) { p.notes = append(p.notes, s) }})
	if p.batches, err = p.tr.NewBatches(o); err != nil {
		t.Fatal(err)
	}
	return p
}

// run fetches and then asks for every answer.
func (p *process) run(ctx context.Context, n int) (answers int, errs []error, err error) {
	if err := p.batches.Fetch(ctx, prompts(n)); err != nil {
		return 0, nil, err
	}
	for req := range prompts(n) {
		r, err := p.tr.Complete(ctx, req)
		switch {
		case err != nil:
			errs = append(errs, err)
		case strings.HasSuffix(r.Text, ": "+req.Messages[0].Content):
			answers++
		}
	}
	return answers, errs, nil
}

type killed struct{ point string }

// A process that dies at any point between the decision to buy and the last record leaves
// a state from which the next one goes on without buying anything twice, with an honest
// ledger.
func TestKilledBatchesAreBoughtOnce(t *testing.T) {
	points := map[string]bool{}
	f := &farm{polls: 1}
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, f, &onceMemo{}, "s", Limits{}, BatchOptions{MaxRequests: 50, Fault: func(s string) { points[s] = true }})
		if n, errs, err := p.run(t.Context(), 120); n != 120 || len(errs) > 0 || err != nil {
			t.Fatal(n, errs, err)
		}
	})
	if len(points) < 8 {
		t.Fatalf("only %d points: %v", len(points), points)
	}
	for point := range points {
		for _, at := range []int{1, 3, 37} {
			synctest.Test(t, func(t *testing.T) {
				f, memo := &farm{polls: 1}, &onceMemo{}
				n, dead := 0, false
				if at > 3 && point != "batch-answer" {
					return // the others are not passed so often
				}
				first := newProcess(t, f, memo, "s", Limits{Requests: 500}, BatchOptions{MaxRequests: 50, Fault: func(s string) {
					if s == point {
						if n++; n == at {
							panic(killed{s})
						}
					}
				}})
				first.batches.atOnce = 20
				func() {
					defer func() { _, dead = recover().(killed) }()
					_, _, _ = first.run(t.Context(), 120)
				}()
				if !dead {
					t.Fatalf("%s %d: not killed", point, at)
				}
				second := newProcess(t, f, memo, "s", Limits{Requests: 120}, BatchOptions{MaxRequests: 50})
				got, errs, err := second.run(t.Context(), 120)
				if got != 120 || len(errs) > 0 || err != nil {
					t.Errorf("%s %d: %d answers, %v %v", point, at, got, errs, err)
				}
				for q, times := range f.bought {
					if times != 1 {
						t.Fatalf("%s %d: %s was bought %d times", point, at, q, times)
					}
				}
				if f.singles > 0 {
					t.Errorf("%s %d: %d single calls", point, at, f.singles)
				}
				for _, l := range []*Ledger{second.ledger, openScope(t, memo, "s")} {
					sum := l.Totals()
					if sum.Settled.Requests != 120 || sum.Answers != 120 || sum.Settled.Tokens != 600 || sum.Lost != (Charge{}) || sum.Held != (Charge{}) || sum.Open != (Charge{}) {
						t.Errorf("%s %d: ledger %+v", point, at, sum)
					}
				}
			})
		}
	}
}

func openScope(t *testing.T, memo Memo, scope string) *Ledger {
	t.Helper()
	l, err := OpenLedger(memo, scope)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A reservation outlives its process: a later run that only asks one by one counts the batch
// in flight, and one of another recipe waits for its answers and pays nothing.
func TestHeldBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, memo := &farm{polls: 1 << 30}, &onceMemo{}
		p := newProcess(t, f, memo, "a", Limits{}, BatchOptions{MaxWait: time.Hour})
		start := time.Now()
		n, errs, err := p.run(t.Context(), 10)
		if n != 0 || len(errs) != 10 || err != nil || KindOf(errs[0]) != KindBatch || !strings.Contains(errs[0].Error(), "the next run waits for it") {
			t.Fatal(n, errs, err)
		}
		if d := time.Since(start); d < time.Hour || d > time.Hour+time.Minute {
			t.Errorf("waited %s", d)
		}
		if f.batches[0].looks > 30 {
			t.Errorf("looked %d times in an hour", f.batches[0].looks)
		}
		held := openScope(t, memo, "a").Totals()
		if held.Held.Requests != 10 || held.Settled.Requests != 0 || held.Lost.Requests != 0 {
			t.Errorf("held %+v", held)
		}
		// Through two more sessions it stays held, and leaves no room for others.
		b, err := NewBudget(Limits{Requests: 12}, openScope(t, memo, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.fitsBatch(Charge{Requests: 2}); err != nil {
			t.Error(err)
		}
		var be *BudgetError
		if _, err := b.reserve(t.Context(), [32]byte{1}, Charge{Requests: 3}, nil); !errors.As(err, &be) || be.Spent != 10 {
			t.Errorf("a call beside a held batch: %v", err)
		}

		f.polls = 0
		other := newProcess(t, f, memo, "b", Limits{Requests: 5}, BatchOptions{})
		if n, errs, err := other.run(t.Context(), 12); n != 12 || len(errs) != 0 || err != nil {
			t.Fatal(n, errs, err)
		}
		if sum := other.ledger.Totals(); sum.Settled.Requests != 2 || len(f.batches) != 2 {
			t.Errorf("the other recipe paid %+v for %d batches", sum, len(f.batches))
		}
		if sum := openScope(t, memo, "a").Totals(); sum.Settled.Requests != 10 || sum.Held.Requests != 0 || sum.Answers != 10 {
			t.Errorf("the first recipe: %+v", sum)
		}
	})
}

// A change to mode: sync finishes what is in flight before it asks for the rest.
func TestSyncAfterBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, memo := &farm{polls: 1 << 30}, &onceMemo{}
		p := newProcess(t, f, memo, "a", Limits{}, BatchOptions{MaxWait: time.Minute})
		if _, _, err := p.run(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		f.polls = 0
		p = newProcess(t, f, memo, "a", Limits{}, BatchOptions{OnlyResume: true})
		if n, errs, err := p.run(t.Context(), 15); n != 15 || len(errs) > 0 || err != nil {
			t.Fatal(n, errs, err)
		}
		if f.singles != 5 || len(f.batches) != 1 {
			t.Errorf("%d single calls, %d batches", f.singles, len(f.batches))
		}
		if st := p.tr.Stats(); st.MemoHits != 0 || st.Calls != 15 {
			t.Errorf("%+v", st)
		}
	})
}

func TestBatchOutcomes(t *testing.T) {
	lost := &Error{Kind: KindNetwork, Message: "cut"}
	for name, tc := range map[string]struct {
		farm    *farm
		o       BatchOptions
		limits  Limits
		answers int
		singles int
		batches int
		kind    Kind   // of the errors
		want    string // in the first error
		fatal   bool
	}{
		"well":      {answers: 20, batches: 1},
		"split":     {farm: &farm{limits: BatchLimits{Requests: 6, Bytes: 1 << 20}}, answers: 20, batches: 4},
		"bytes":     {farm: &farm{limits: BatchLimits{Requests: 100, Bytes: 400}}, answers: 20, batches: 4},
		"too large": {farm: &farm{limits: BatchLimits{Requests: 100, Bytes: 20}}, kind: KindInvalid, want: "more than a batch may hold"},
		"few":       {o: BatchOptions{AutoBelow: 21}, answers: 20, singles: 20},
		"enough":    {o: BatchOptions{AutoBelow: 20}, answers: 20, batches: 1},
		"expired":   {farm: &farm{outcome: func(int) BatchState { return BatchState{Ended: true, Status: "expired", Done: 12} }}, answers: 12, batches: 1, kind: KindBatch, want: "expired"},
		"cancelled": {farm: &farm{outcome: func(int) BatchState { return BatchState{Ended: true, Status: "cancelled"} }}, batches: 1, kind: KindBatch, want: "cancelled"},
		"row errors": {farm: &farm{answer: func(p string) (string, error) {
			switch p {
			case "p3":
				return "", &Error{Kind: KindInvalid, Status: 400, Message: "bad prompt"}
			case "p4":
				return "", &Error{Kind: KindServer, Status: 503}
			}
			return "re: " + p, nil
		}}, answers: 18, batches: 1, kind: KindInvalid, want: "bad prompt"},
		"failed generations":            {farm: &farm{finish: "insufficient_system_resource"}, batches: 1, kind: KindBatch, want: "insufficient_system_resource"},
		"lost answer to the submission": {farm: &farm{submit: func(n int) (bool, error) { return true, lost }}, answers: 20, batches: 1},
		"lost submission": {farm: &farm{submit: func(n int) (bool, error) {
			if n < 2 {
				return false, lost
			}
			return true, nil
		}}, answers: 20, batches: 1},
		"refused": {farm: &farm{submit: func(n int) (bool, error) { return false, &Error{Kind: KindAuth, Status: 401} }}, fatal: true, want: "401"},
		"no API":  {farm: &farm{submit: func(n int) (bool, error) { return false, &Error{Kind: KindNotFound, Status: 404} }}, fatal: true, want: "mode: sync"},
		"too full": {farm: &farm{outcome: func(n int) BatchState {
			if n == 0 {
				return BatchState{Ended: true, Status: "failed", Full: true}
			}
			return BatchState{Ended: true, Status: "completed", Done: 1000}
		}}, answers: 20, batches: 2},
		"full beside another": {farm: &farm{limits: BatchLimits{Requests: 10, Bytes: 1 << 20}, submit: func(n int) (bool, error) {
			if n == 1 {
				return false, &Error{Kind: KindRate, Status: 429}
			}
			return true, nil
		}}, answers: 20, batches: 2},
		"budget for half": {limits: Limits{Requests: 12}, answers: 12, batches: 1, kind: KindBudget, want: "budget_requests 12"},
		"budget in turns": {limits: Limits{Tokens: 400}, answers: 20, batches: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := tc.farm
				if f == nil {
					f = &farm{}
				}
				p := newProcess(t, f, &onceMemo{}, "s", tc.limits, tc.o)
				n, errs, err := p.run(t.Context(), 20)
				if tc.fatal {
					if err == nil || !strings.Contains(err.Error(), tc.want) {
						t.Errorf("error %v", err)
					}
					if sum := openScope(t, p.ledger.memo, "s").Totals(); sum.Held != (Charge{}) || sum.Lost != (Charge{}) {
						t.Errorf("ledger %+v", sum)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if n != tc.answers || len(errs) != 20-tc.answers || f.singles != tc.singles || tc.batches > 0 && len(f.batches) != tc.batches {
					t.Errorf("%d answers, %d errors, %d single calls, %d batches; %v", n, len(errs), f.singles, len(f.batches), errs)
				}
				if len(errs) > 0 && (KindOf(errs[0]) != tc.kind || !strings.Contains(errs[0].Error(), tc.want)) {
					t.Errorf("error %v", errs[0])
				}
				for q, times := range f.bought {
					if times > 1 && name != "too full" {
						t.Errorf("%s was bought %d times", q, times)
					}
				}
				sum := openScope(t, p.ledger.memo, "s").Totals()
				if sum.Answers != tc.answers || sum.Held != (Charge{}) || sum.Lost != (Charge{}) {
					t.Errorf("ledger %+v", sum)
				}
				if v := p.batches.View(); v.Open != 0 || v.Message != "" {
					t.Errorf("view %+v", v)
				}
			})
		})
	}
}

// Thousands of answers that one batch left out are no outage.
func TestExpiredBatchIsNoOutage(t *testing.T) {
	fs := NewFailures(Policy{})
	for range 1000 {
		if err := fs.Note(t.Context(), &Error{Kind: KindBatch}); err != nil {
			t.Fatal(err)
		}
	}
	if fs.Missing() == "" || fs.Total() != 1000 {
		t.Error(fs.Missing(), fs.Total())
	}
}

func TestBatchesNeedAMemo(t *testing.T) {
	if _, err := transport(nil, Options{Memo: &llmtest.Memo{}}).NewBatches(BatchOptions{}); err == nil || !strings.Contains(err.Error(), "no batch API") {
		t.Error(err)
	}
	tr := NewTransport(Provider{Name: "test", Client: &farm{}}, Options{Memo: forgetful{}})
	j, err := tr.NewBatches(BatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Fetch(t.Context(), prompts(1)); err == nil || !strings.Contains(err.Error(), "memo") {
		t.Error(err)
	}
}

type forgetful struct{}

func (forgetful) Get([32]byte) ([]byte, bool, error) { return nil, false, nil }
func (forgetful) Put([32]byte, []byte) error         { return nil }
func (forgetful) Claim(context.Context, [32]byte, func(string)) (func(), error) {
	return func() {}, nil
}
