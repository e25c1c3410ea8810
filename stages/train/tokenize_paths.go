package train

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
)

// sequence is a path in one student's tokens: what it reads, the completion, and what
// ends it.
type sequence struct {
	ids    []int32
	prompt int   // tokens before the first that carries loss
	ends   []int // byte offset in the completion at which ids[prompt+k] ends; its end token has none
}

// supervised is how many tokens carry loss: the completion and its end token.
func (s sequence) supervised() int { return len(s.ids) - s.prompt }

// encodeChat lays a question and its answer out by a published model's chat template.
func encodeChat(m *causal.Model, question, response string) (s sequence, ex chat.Example, e chat.Encoded, err error) {
	turns := []chat.Message{{Role: chat.User, Content: question}, {Role: chat.Assistant, Content: response}}
	if ex, err = m.Template.Example(turns, false); err != nil {
		return s, ex, e, err
	}
	if e, err = chat.Encode(m.Tokenizer.Tokenizer, m.Template, ex, m.Tokenizer.Special().EOS); err != nil {
		return s, ex, e, err
	}
	first := max(1, slices.Index(e.Loss, true)) // the first token of all is never predicted
	if !slices.Contains(e.Loss, true) {
		first = len(e.IDs)
	}
	s = sequence{ids: e.IDs, prompt: first}
	// Templates print answers without the white space around them.
	content := strings.TrimSpace(response)
	before := strings.Index(response, content)
	start := ex.Supervised[0].Start
	start += strings.Index(ex.Text[start:], content)
	for _, end := range e.Ends[first:] {
		if end > start+len(content) {
			break
		}
		// 0, which aligns with nothing, for a token before the first of the answer.
		s.ends = append(s.ends, max(0, before+end-start))
	}
	return s, ex, e, nil
}

// encodePath encodes prompt and completion separately, so that the border between
// them is a token border in every tokenizer and no token of the prompt carries
// loss. ok is false when the result is longer than maxSeq: a path is dropped, not
// cut, because a cut path teaches to stop before the answer.
func encodePath(tok tokenizer.Tokenizer, prompt, response string, maxSeq int) (s sequence, ok bool) {
	sp := tok.Special()
	s.ids = append(s.ids, sp.BOS)
	p, _ := tok.Encode(prompt)
	s.ids = append(s.ids, p...)
	s.prompt = len(s.ids)
	c, ends := tok.Encode(response)
	s.ids = append(append(s.ids, c...), sp.EOS)
	s.ends = ends
	return s, len(s.ids) <= maxSeq
}

// encodePrompt is the part of encodePath that generation starts from.
func encodePrompt(tok tokenizer.Tokenizer, prompt string) []int32 {
	p, _ := tok.Encode(prompt)
	return append([]int32{tok.Special().BOS}, p...)
}

// batchRows is one graph call's worth of sequences, padded to a common length.
// Position t predicts ids[t+1].
type batchRows struct {
	rows, seq int
	ids       []int32   // [rows, seq]
	labels    []int32   // [rows·seq] the next token, 0 where there is none
	mask      []float32 // [rows·seq] 1 where the label is supervised
	tokens    []int     // per row: supervised tokens
}

// makeBatch pads seqs to seq positions. Rows beyond len(seqs) are empty: padding
// only, without loss.
func makeBatch(seqs []sequence, rows, seq int, pad int32) (batchRows, error) {
	b := batchRows{
		rows: rows, seq: seq,
		ids: make([]int32, rows*seq), labels: make([]int32, rows*seq), mask: make([]float32, rows*seq),
		tokens: make([]int, rows),
	}
	if len(seqs) > rows {
		return b, fmt.Errorf("%d sequences for %d rows", len(seqs), rows)
	}
	for i := range b.ids {
		b.ids[i] = pad
	}
	for r, s := range seqs {
		if len(s.ids) > seq+1 {
			return b, fmt.Errorf("a sequence of %d tokens for %d positions", len(s.ids), seq)
		}
		at := r * seq
		// The last token is only ever a label.
		copy(b.ids[at:at+seq], s.ids[:len(s.ids)-1])
		for t := range len(s.ids) - 1 {
			b.labels[at+t] = s.ids[t+1]
			if t+1 >= s.prompt {
				b.mask[at+t] = 1
				b.tokens[r]++
			}
		}
	}
	return b, nil
}
