package train

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/distillflow/distillflow/schema"
)

// use says which paths a training stage learns from, and what of them students read and
// write.
type use struct {
	limit   int // problems at most, from the start; 0 means all
	sample  int // of those, so many that are drawn; 0 means all
	quality Quality
	prompt  string // what students read
	target  Target // what they learn to write
}

// draw keeps the paths of the sample's problems. Those are the first by a hash of their ids,
// so that each sample lies within the larger ones.
func (u use) draw(paths []trainPath, ids []string) ([]trainPath, []string) {
	if u.sample == 0 || u.sample >= len(ids) {
		return paths, ids
	}
	hash := func(id string) uint64 {
		h := fnv.New64a()
		fmt.Fprintf(h, "sample/%s", id)
		return h.Sum64()
	}
	drawn := slices.Clone(ids)
	slices.SortStableFunc(drawn, func(a, b string) int { return cmp.Compare(hash(a), hash(b)) })
	drawn = drawn[:u.sample]
	slices.Sort(drawn)
	return slices.DeleteFunc(paths, func(p trainPath) bool {
		_, in := slices.BinarySearch(drawn, p.id)
		return !in
	}), drawn
}

// style gives a path the prompt that its teacher read, where students are to read that.
func (u use) style(t *trainPath, p schema.Path) error {
	if u.prompt != promptStyled {
		return nil
	}
	if p.Prompt == "" {
		return fmt.Errorf("problem %s, path %d (style %s) has no prompt, which student_prompt: styled needs: take rows of wrap-cot, or set plain", t.id, t.index, t.style)
	}
	t.question, t.prompt = p.Prompt, plainPrompt(p.Prompt)
	return nil
}
