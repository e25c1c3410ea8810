package train

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/thoughts"
	"github.com/distillflow/distillflow/schema"
)

// trainPath is one reasoning path as training sees it.
type trainPath struct {
	id       string // problem
	style    string
	index    int    // position among the problem's paths
	question string // that a student is asked
	prompt   string // the question as a student from scratch reads it
	response string // what it learns to write; "" where the path lacks what is to be learned
	thought  string // the reasoning in response, "" where it is not to be learned
	answer   string // what follows the thought there; "" where response is one text
}

// Target says what of a path students learn to write.
type Target struct {
	StudentTarget      string `json:"student_target" default:"response" choices:"response|reasoning|reasoning+response" doc:"What students learn to write: the response; the teacher's reasoning, as an answer without marks; or the reasoning and then the response, with the marks that the student's chat template puts around thoughts, or <think> and </think>. With reasoning in it, paths without reasoning are dropped."`
	MaxReasoningTokens int    `json:"max_reasoning_tokens" default:"0" min:"0" doc:"With reasoning in student_target: most tokens of a path's reasoning, in any student's tokens; longer paths are dropped, never cut. 0: no limit."`
}

// Values of Target.StudentTarget.
const (
	targetResponse  = "response"
	targetReasoning = "reasoning"
)

// validate gives the complaints about the target.
func (c Target) validate(bad func(field, format string, args ...any)) {
	if c.MaxReasoningTokens > 0 && c.StudentTarget == targetResponse {
		bad("max_reasoning_tokens", "student_target: response has no reasoning: set another target, or leave the limit out")
	}
}

// The marks around a thought in what a student from scratch learns. In these bytes the
// tokens of all students are told apart, whatever marks their templates write.
const thoughtOpens, thoughtCloses = "<think>\n", "\n</think>\n\n"

// set fills in what is to be learned of a path.
func (p *trainPath) set(c Target, reasoning, response string) {
	switch {
	case c.StudentTarget == targetResponse:
		p.response = response
	case reasoning == "": // nothing to learn
	case c.StudentTarget == targetReasoning:
		p.response, p.thought = reasoning, reasoning
	default:
		response = strings.TrimSpace(response) // the marks end in white space
		p.response, p.thought, p.answer = thoughtOpens+reasoning+thoughtCloses+response, reasoning, response
	}
}

// textsOf are the texts that tokenizers of students from scratch are trained on.
func textsOf(paths []trainPath) []string {
	texts := make([]string, len(paths))
	for i, p := range paths {
		texts[i] = p.prompt + p.response
	}
	return texts
}

// plainQuestion is what a student is asked, in training and in evaluation alike: the core
// prompt of the row's task, with its choices, premise or table. Style wrappers are for the
// teacher.
func plainQuestion(row schema.Problem) (string, error) {
	q, err := prompts.Of(row)
	if err != nil {
		return "", fmt.Errorf("row %q: %w", row.ID, err)
	}
	return q.Core(), nil
}

// plainPrompt is how a student from scratch reads a question.
func plainPrompt(question string) string { return question + "\n" }

// readPaths lists the paths that u chooses and the ids of the problems they belong to. A
// response that holds its thoughts inline counts as one that has them apart.
func readPaths(rows stage.Rows[schema.Problem], u use) (paths []trainPath, ids []string, err error) {
	n := 0
	for p, err := range rows.All() {
		if err != nil {
			return nil, nil, err
		}
		if n++; u.limit > 0 && n > u.limit {
			break
		}
		used, err := u.paths(p)
		if err != nil {
			return nil, nil, err
		}
		if paths = append(paths, used...); len(used) > 0 {
			ids = append(ids, p.ID)
		}
	}
	sort.Strings(ids)
	paths, ids = u.draw(paths, slices.Compact(ids))
	return paths, ids, nil
}

// paths are the paths of a problem that u chooses.
func (u use) paths(p schema.Problem) (out []trainPath, err error) {
	asked, err := plainQuestion(p)
	if err != nil {
		return nil, err
	}
	for i, q := range p.Paths {
		parts := thoughts.Cut(q.Response, nil)
		if text := parts.Marked(); text != q.Response {
			q.Response = strings.TrimSpace(text)
		}
		if parts.Open || !usable(q, u.quality) {
			continue
		}
		t := trainPath{id: p.ID, style: q.Style, index: i, question: asked, prompt: plainPrompt(asked)}
		if err := u.style(&t, q); err != nil {
			return nil, err
		}
		t.set(u.target, thoughts.Join(q.Reasoning, parts.Reasoning), q.Response)
		out = append(out, t)
	}
	return out, nil
}

// usable reports whether a path may be learned from: a whole answer, neither verified
// wrong nor judged invalid, where w asks for that. Paths that were never verified or judged
// count as usable: the recipe decides which stages run.
func usable(p schema.Path, w Quality) bool {
	switch {
	case strings.TrimSpace(p.Response) == "" || p.Error != "":
		return false
	case llm.ClassOf(p.FinishReason) != llm.Finished:
		return false
	case w.Correct && p.Correct != nil && !*p.Correct:
		return false
	case w.Judged && p.Judge != nil && !p.Judge.Valid:
		return false
	}
	return true
}

// reportDropped warns of paths that were dropped, per style, and counts those whose
// reasoning was too long: a limit that costs one style its paths changes what is compared.
func reportDropped(env *stage.Env, d *dropped, p *plan) {
	for _, s := range slices.Sorted(maps.Keys(d.all)) {
		of := func(n int) string {
			return fmt.Sprintf("%d of %d paths (%.0f %%)", n, d.all[s], 100*float64(n)/float64(d.all[s]))
		}
		if n := d.noReasoning[s]; n > 0 {
			env.Warn("style %s: %s have no reasoning and were dropped (student_target: %s)", s, of(n), p.use.target.StudentTarget)
		}
		if n := d.longReasoning[s]; n > 0 {
			env.Warn("style %s: %s have more reasoning than max_reasoning_tokens %d and were dropped", s, of(n), p.use.target.MaxReasoningTokens)
		}
		if n := d.long[s]; n > 0 {
			env.Warn("style %s: %d of %d paths are empty or longer than max_seq %d tokens and were dropped", s, n, d.all[s], p.maxSeq)
		}
		if p.use.target.MaxReasoningTokens > 0 {
			env.AddStat("reasoning_dropped_share/"+s, float64(d.longReasoning[s])/float64(d.all[s]))
		}
	}
}

// errNoPath is what a training stage says of input without a usable path.
var errNoPath = errors.New("no path to train on: no row has a usable path (answered in full, not verified wrong, not judged invalid)")
