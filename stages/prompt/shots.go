package prompt

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/schema"
)

type shotsConfig struct {
	N    int   `json:"n" default:"4" min:"1" doc:"Examples per prompt."`
	Seed int64 `json:"seed" default:"0" doc:"Another seed chooses other examples."`
}

// example is a row of the input shots.
type example struct {
	order uint64 // by the seed and the question, and not by the order of the rows
	text  string // of the question; equal ones are one question
	row   schema.Problem
	q     prompts.Question
}

// examples are those that may be needed, by task and in their order.
type examples struct {
	cfg    shotsConfig
	byTask map[string][]example
	tests  int // rows of the split test, which are left out
}

// shots reads the examples; nil where none are wanted.
func (c wrapConfig) shots(ctx context.Context, rows stage.Rows[schema.Problem]) (*examples, error) {
	switch {
	case c.Shots == nil && !rows.Given():
		return nil, nil
	case c.Shots == nil:
		return nil, errors.New("the input shots is connected, but the config says nothing of it: set shots: {n: 4}, or disconnect it")
	case !rows.Given():
		return nil, errors.New("shots needs rows: connect the input of that name, as in from: {problems: tests, shots: parts.train}")
	}
	e := &examples{cfg: *c.Shots, byTask: map[string][]example{}}
	for row, err := range rows.All() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = e.add(row)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the shots: %w", err)
		}
	}
	return e, nil
}

// add keeps a row if it may be needed: it is among the first n, or stands in where a
// row's own id or own question is left out.
func (e *examples) add(row schema.Problem) error {
	if strings.EqualFold(strings.TrimSpace(row.Extra.String("split")), "test") {
		e.tests++
		return nil
	}
	q, err := question(row)
	if err != nil {
		return err
	}
	if row.GoldAnswer == "" && len(usable(row.Paths)) == 0 {
		return nil // it shows no answer
	}
	x := example{text: questionText(row), row: row, q: q}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", e.cfg.Seed, x.text))
	x.order = binary.BigEndian.Uint64(sum[:])
	list := e.byTask[row.Task]
	at, _ := slices.BinarySearchFunc(list, x, func(a, b example) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.text, b.text))
	})
	switch {
	case at < len(list) && list[at].text == x.text:
		return nil // the first of equal questions
	case at == len(list) && at == e.cfg.N+2:
		return nil
	}
	list = slices.Insert(list, at, x)
	e.byTask[row.Task] = list[:min(len(list), e.cfg.N+2)]
	return nil
}

// of picks the examples for a row, in a style.
func (e *examples) of(row schema.Problem, style string) ([]prompts.Shot, error) {
	if e == nil {
		return nil, nil
	}
	own := questionText(row)
	var shots []prompts.Shot
	for _, x := range e.byTask[row.Task] {
		if x.text == own || x.row.ID == row.ID && row.ID != "" {
			continue
		}
		if shots = append(shots, prompts.Shot{Question: x.q, Answer: x.answer(style)}); len(shots) == e.cfg.N {
			return shots, nil
		}
	}
	msg := fmt.Sprintf("row %q: %d examples of %s are wanted, and the input shots has %d besides the row itself", row.ID, e.cfg.N, row.Task, len(shots))
	if e.tests > 0 {
		msg += fmt.Sprintf(" (%s of the split test left out)", text.Plural(e.tests, "row"))
	}
	return nil, errors.New(msg + ": connect more rows, or lower shots.n")
}

// answer is what an example shows: a teacher's answer in the style, or else in another
// one, or else the gold answer as the task's answer format has it.
func (x example) answer(style string) string {
	paths := usable(x.row.Paths)
	if len(paths) == 0 {
		if x.q.Task.Several == "all" && len(x.row.GoldAnswers) > 0 {
			return prompts.Statement(x.q, x.row.GoldAnswers...)
		}
		return prompts.Statement(x.q, x.row.GoldAnswer)
	}
	i := slices.IndexFunc(paths, func(p schema.Path) bool { return p.Style == style })
	return paths[max(i, 0)].Response
}

// usable are the paths whose answers can be shown: whole, and not found wrong.
func usable(paths []schema.Path) []schema.Path {
	var list []schema.Path
	for _, p := range paths {
		wrong := p.Correct != nil && !*p.Correct || p.Judge != nil && !p.Judge.Valid
		if strings.TrimSpace(p.Response) != "" && p.Error == "" && llm.ClassOf(p.FinishReason) == llm.Finished && !wrong {
			list = append(list, p)
		}
	}
	return list
}

// questionText is what makes two questions the same: their words in any case. The order
// of choices makes no other question.
func questionText(row schema.Problem) string {
	return strings.Join(strings.Fields(strings.ToLower(strings.Join([]string{row.Question, row.Premise, row.Hypothesis, row.Table}, " "))), " ")
}
