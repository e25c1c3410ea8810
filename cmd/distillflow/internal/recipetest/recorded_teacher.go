package recipetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/recorded"
	"github.com/distillflow/distillflow/schema"
)

// teacherless is a runner whose models answer from recorded answers.
type teacherless struct {
	inner   local.InProcess
	replies *replies
	reg     *stage.Registry
}

// Run implements [exec.Runner].
func (r teacherless) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	inner := r.inner
	if typ, ok := r.reg.Lookup(t.Type); ok && typ.Class == stage.Sampled && !r.replies.recording {
		// No real key is read, and a recipe needs none.
		inner.Services.Getenv = func(string) string { return "recorded" }
	}
	base, _, _ := strings.Cut(t.Stage, "[") // a leg of a matrix
	rows := sync.OnceValue(func() *rowIndex { return indexRows(t) })
	ctx = llm.WithInterceptor(ctx, func(ctx context.Context, c llm.Call, next func(context.Context) (*llm.Response, error)) (*llm.Response, error) {
		q := recorded.QueryOf(c)
		q.Stage = base
		rows().identify(c, &q)
		return r.replies.answer(ctx, q, next)
	})
	return inner.Run(ctx, t, h)
}

// replies finds recorded answers and records new ones.
type replies struct {
	book      *recorded.Book
	recording bool
	again     string // how to record, for messages
	into      string // the file that would hold the answers

	mu   sync.Mutex
	news map[recorded.Query]recorded.Answer
}

func (r *replies) answer(ctx context.Context, q recorded.Query, next func(context.Context) (*llm.Response, error)) (*llm.Response, error) {
	if a := r.book.Find(q); a != nil {
		return a.Response()
	}
	if provider, _, _ := strings.Cut(q.Model, "/"); provider == llm.Simulated {
		return next(ctx)
	}
	if !r.recording {
		return nil, &llm.Error{Kind: llm.KindUnrecorded, Message: r.missing(q)}
	}
	resp, err := next(ctx)
	if err != nil {
		return nil, err
	}
	key := q
	key.Stage, key.ID, key.Style, key.Judge = "", "", "", false // as one request in the file
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news == nil {
		r.news = map[recorded.Query]recorded.Answer{}
	}
	r.news[key] = recorded.Of(q, resp)
	return resp, nil
}

// missing says which answer is not recorded, and how to get it.
func (r *replies) missing(q recorded.Query) string {
	var b strings.Builder
	fmt.Fprintf(&b, "stage %s asks %s, and no recorded answer fits", q.Stage, q.Model)
	for _, x := range []struct{ name, value string }{{"row", q.ID}, {"style", q.Style}} {
		if x.value != "" {
			fmt.Fprintf(&b, ", %s %s", x.name, x.value)
		}
	}
	if q.Replicate > 0 {
		fmt.Fprintf(&b, ", replicate %d", q.Replicate)
	}
	if q.Try > 0 {
		fmt.Fprintf(&b, ", try %d", q.Try)
	}
	fmt.Fprintf(&b, ": %q\n", llm.Clip(q.Prompt, 300))
	what := "answer: TEXT"
	if q.Judge {
		what = "verdict: valid"
	}
	which := "match: REGEXP"
	if q.ID != "" {
		which = "id: " + q.ID
		if q.Style != "" {
			which += ", style: " + q.Style
		}
	}
	fmt.Fprintf(&b, "write it under teacher, as in {%s, %s}, or ask the model with %s, which writes %s", which, what, r.again, paths.Relative(r.into))
	return b.String()
}

// fresh lists what was recorded, in an order that does not depend on chance.
func (r *replies) fresh() []recorded.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []recorded.Answer
	for _, a := range r.news {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b recorded.Answer) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.System, b.System), cmp.Compare(a.Prompt, b.Prompt),
			cmp.Compare(*a.Replicate, *b.Replicate), cmp.Compare(a.Try, b.Try))
	})
	return out
}

// rowIndex finds the row behind a request.
type rowIndex struct {
	prompts map[string]place
	judged  map[judgedPath]string
}

type place struct{ id, style string }

type judgedPath struct{ question, style, response string }

// indexRows reads the rows that a task works on. Only problems have prompts.
func indexRows(t stage.Task) *rowIndex {
	x := &rowIndex{prompts: map[string]place{}, judged: map[judgedPath]string{}}
	for _, inputs := range t.Inputs {
		for _, in := range inputs {
			for row, err := range stage.RowsFrom[schema.Problem](in.Path, in.Label).All() {
				if err != nil {
					break
				}
				for _, p := range row.Paths {
					if _, ok := x.prompts[p.Prompt]; !ok && p.Prompt != "" {
						x.prompts[p.Prompt] = place{row.ID, p.Style}
					}
					if key := (judgedPath{row.Question, p.Style, p.Response}); x.judged[key] == "" {
						x.judged[key] = row.ID
					}
				}
			}
		}
	}
	return x
}

func (x *rowIndex) identify(c llm.Call, q *recorded.Query) {
	if c.Judge {
		q.ID = x.judged[judgedPath{c.Question, c.Style, c.Response}]
		return
	}
	if at, ok := x.prompts[q.Prompt]; ok {
		q.ID, q.Style = at.id, at.style
	}
}
