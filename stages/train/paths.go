package train

import (
	"errors"
	"slices"
	"sort"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/schema"
)

// trainPath is one reasoning path as training sees it.
type trainPath struct {
	id       string // problem
	style    string
	index    int // position among the problem's paths
	question string
	prompt   string // the question as a student from scratch reads it
	response string // what it learns to write
}

// textsOf are the texts that tokenizers of students from scratch are trained on.
func textsOf(paths []trainPath) []string {
	texts := make([]string, len(paths))
	for i, p := range paths {
		texts[i] = p.prompt + p.response
	}
	return texts
}

// plainPrompt is what a student reads, in training and in evaluation alike: the
// question and a line end. Style wrappers are for the teacher.
func plainPrompt(question string) string { return question + "\n" }

// readPaths lists the usable paths of at most limit problems (0: all) and the ids
// of the problems they belong to.
func readPaths(rows stage.Rows[schema.Problem], limit int) (paths []trainPath, ids []string, err error) {
	n := 0
	for p, err := range rows.All() {
		if err != nil {
			return nil, nil, err
		}
		if n++; limit > 0 && n > limit {
			break
		}
		used := false
		for i, q := range p.Paths {
			if !usable(q) {
				continue
			}
			used = true
			paths = append(paths, trainPath{id: p.ID, style: q.Style, index: i, question: p.Question, prompt: plainPrompt(p.Question), response: q.Response})
		}
		if used {
			ids = append(ids, p.ID)
		}
	}
	sort.Strings(ids)
	return paths, slices.Compact(ids), nil
}

// usable reports whether a path may be learned from: a whole answer, neither verified
// wrong nor judged invalid. Paths that were never verified or judged count as usable:
// the recipe decides which stages run.
func usable(p schema.Path) bool {
	switch {
	case p.Response == "" || p.Error != "":
		return false
	case p.FinishReason == llm.FinishLength || p.FinishReason == llm.FinishRefusal:
		return false
	case p.Correct != nil && !*p.Correct:
		return false
	case p.Judge != nil && !p.Judge.Valid:
		return false
	}
	return true
}

// reportDropped warns when paths were too long, per style: a limit that costs one
// style its paths changes what is compared.
func reportDropped(env *stage.Env, d *dropped, maxSeq int) {
	styles := make([]string, 0, len(d.paths))
	for s := range d.paths {
		styles = append(styles, s)
	}
	sort.Strings(styles)
	for _, s := range styles {
		env.Warn("style %s: %d of %d paths are empty or longer than max_seq %d tokens and were dropped", s, d.paths[s], d.paths[s]+d.kept[s], maxSeq)
	}
}

// errNoPath is what a training stage says of input without a usable path.
var errNoPath = errors.New("no path to train on: no row has a usable path (answered in full, not verified wrong, not judged invalid)")
