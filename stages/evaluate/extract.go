package evaluate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

type extractConfig struct {
	Fallback string        `json:"fallback" default:"none" choices:"none|last_number" doc:"What to do where a response states no answer: none leaves the prediction empty; last_number takes the last number of the text (number and math tasks only)."`
	Pattern  string        `json:"pattern" doc:"Regular expression (RE2) in place of the built-in rules: its last match is the answer, through the first group if it has one."`
	JSONPath string        `json:"json_path" doc:"Path (gjson syntax) in place of the built-in rules: the response, or the outermost {...} in it, is read as JSON."`
	Tests    []extractTest `json:"tests" default:"[]" semantic:"false" doc:"Examples checked before the stage runs."`
}

type extractTest struct {
	Task     string   `json:"task" default:"math" doc:"The preset whose rules apply."`
	Choices  []string `json:"choices" default:"[]" doc:"Texts of the options, labelled A, B, ..."`
	Response string   `json:"response" required:"true" doc:"What the model says."`
	Answer   string   `json:"answer" doc:"The answer that must be found; empty: none."`
}

// Validate compiles the extractor and runs its tests.
func (c extractConfig) Validate() error {
	if c.Pattern != "" && c.JSONPath != "" {
		return stage.Invalid("json_path", "set pattern or json_path, not both")
	}
	opt, err := c.options()
	if err != nil {
		return err
	}
	var errs []error
	for i, t := range c.Tests {
		if _, ok := task.Preset(t.Task); !ok {
			errs = append(errs, stage.FieldError{
				Path: []string{"tests", strconv.Itoa(i), "task"}, Got: t.Task, Candidates: task.Presets(),
				Msg: fmt.Sprintf("%q is no preset: name one whose answers are of the same kind, or try answers to a declared task with distillflow grade --recipe", t.Task),
			})
			continue
		}
		q := answer.Question{Task: t.Task}
		for j, s := range t.Choices {
			q.Choices = append(q.Choices, answer.Option{Label: string(rune('A' + j)), Text: s})
		}
		if p := answer.Extract(q, t.Response, opt); p.Answer != t.Answer {
			errs = append(errs, stage.Invalid(fmt.Sprintf("tests.%d", i), "the extractor finds %q, not %q", p.Answer, t.Answer))
		}
	}
	return errors.Join(errs...)
}

func (c extractConfig) options() (answer.Options, error) {
	o := answer.Options{JSONPath: c.JSONPath}
	if c.Fallback != "none" {
		o.Fallback = c.Fallback
	}
	if c.Pattern != "" {
		re, err := regexp.Compile(c.Pattern)
		if err != nil {
			return o, stage.Invalid("pattern", "not a regular expression (RE2): %v", err)
		}
		o.Pattern = re
	}
	return o, nil
}

// Estimate implements [stage.Estimator]: every row stays a row.
func (extractConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return stage.Estimate{Rows: map[string]*stage.Range{"problems": q.Rows("problems")}}, nil
}

type problemsIn struct {
	Problems stage.Rows[schema.Problem] `port:"problems" doc:"Problems with the model's responses."`
}

type extractOut struct {
	Problems *stage.Writer[schema.Problem] `port:"problems" doc:"The same rows; each path has a prediction, the rule that found it and its byte span in the response, or a reason why there is none."`
}

// Extract finds the answer that each response states.
var Extract = stage.Define(stage.Spec{
	Type: "extract", Version: 4, Class: stage.Pure, RowByRow: "problems",
	Doc: `Finds the answer that each response states.

By the row's task: the last box, "the answer is", "#### 18", "Final Answer:",
bold type, printed program output, a closing sentence. The last stated answer
wins; options mentioned while reasoning do not count. Multiple choice gives one
of the row's labels, anli true, false or neither, strategy_qa yes or no. A
response that states no answer gets an empty prediction and a reason, never a
guess, unless fallback asks for one. What a reasoning model thought is not read,
neither in the path's reasoning nor inline in its response (<think> and the
like); a response whose thought has no end states no answer.`,
}, func(ctx context.Context, env *stage.Env, c extractConfig, in problemsIn, out extractOut) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	none, paths := 0, 0
	err = eachRow(ctx, env, in.Problems, func(row schema.Problem) error {
		q, err := answer.Of(row)
		if err != nil {
			return err
		}
		for i := range row.Paths {
			paths++
			p := &row.Paths[i]
			p.Pred, p.Rule, p.Span, p.Reason, p.Correct, p.Judge = "", "", nil, "", nil, nil
			if !responded(*p) {
				p.Reason = noResponse(*p)
				none++
				continue
			}
			if why := unfinished(*p); why != "" {
				p.Reason = why
				none++
				continue
			}
			a := answer.Extract(q, p.Response, opt)
			p.Pred, p.Rule, p.Reason = a.Answer, a.Rule, a.Reason
			if a.Answer == "" {
				none++
				continue
			}
			p.Span = &schema.Span{Start: a.Start, End: a.End}
		}
		return out.Problems.Write(row)
	})
	env.AddStat("paths", float64(paths))
	env.AddStat("no_answer", float64(none))
	return err
})

// responded reports that a model answered, with a finish reason or, in
// imported rows, with a text alone.
func responded(p schema.Path) bool {
	return p.Error == "" && (p.Response != "" || p.FinishReason != "")
}

// unfinished says why a response states no answer whatever its text says: it was cut
// off, or withheld. It is "" for one that ended.
func unfinished(p schema.Path) string {
	switch llm.ClassOf(p.FinishReason) {
	case llm.Finished:
		return ""
	case llm.Refused:
		return "refused (finish_reason " + p.FinishReason + ")"
	case llm.Cut:
		return "cut off (finish_reason " + p.FinishReason + ")"
	}
	return "not an answer (finish_reason " + p.FinishReason + ")"
}

// noResponse says why a path has no response.
func noResponse(p schema.Path) string {
	if p.Error != "" {
		return "no response: " + p.Error
	}
	return "no response"
}

// eachRow calls f for every row, with progress, until the context ends. It warns
// when no row has a path.
func eachRow(ctx context.Context, env *stage.Env, rows stage.Rows[schema.Problem], f func(schema.Problem) error) error {
	total, err := rows.Count()
	if err != nil {
		return fmt.Errorf("reading the problems: %w", err)
	}
	done, paths := int64(0), 0
	for row, err := range rows.All() {
		if err != nil {
			return fmt.Errorf("reading the problems: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		paths += len(row.Paths)
		if err := f(row); err != nil {
			return fmt.Errorf("row %q: %w", row.ID, err)
		}
		if done++; done%256 == 0 || done == total {
			env.Progress(stage.Progress{Done: done, Total: total, Unit: "rows"})
		}
	}
	if done > 0 && paths == 0 {
		env.Warn("no row has a path: wrap-cot and batch-llm make them")
	}
	return nil
}
