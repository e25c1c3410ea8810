package train

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
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

// encodeChat lays a path's question and what is to be learned out by a published model's
// chat template.
func encodeChat(m *causal.Model, p trainPath) (s sequence, ex chat.Example, e chat.Encoded, err error) {
	turns := []chat.Message{{Role: chat.User, Content: p.question}}
	if p.answer != "" {
		ex, err = m.Template.ThoughtExample(turns, p.thought, p.answer)
	} else {
		ex, err = m.Template.Example(append(turns, chat.Message{Role: chat.Assistant, Content: p.response}), false)
		if opens, _ := m.OpensThought(); err != nil && opens {
			err = fmt.Errorf("%w: it makes every answer begin with a thought, which student_target: reasoning+response teaches", err)
		}
	}
	if err != nil {
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
	at := placedParts(ex, p)
	for _, end := range e.Ends[first:] {
		if end > at[len(at)-1].End {
			break
		}
		s.ends = append(s.ends, at.of(end))
	}
	return s, ex, e, nil
}

// placed is a span of an example's text, and where its bytes begin in a path's response.
type placed struct {
	hf.Span
	to int
}

// placement is the parts of a response that a template printed, in their order.
type placement []placed

// placedParts finds the parts of a path's response in an example's text.
func placedParts(ex chat.Example, p trainPath) placement {
	if p.answer != "" {
		n := len(ex.Contents)
		return placement{
			{ex.Contents[n-2], len(thoughtOpens)},
			{ex.Contents[n-1], len(p.response) - len(p.answer)},
		}
	}
	// Templates print answers without the white space around them.
	content := strings.TrimSpace(p.response)
	start := ex.Supervised[0].Start
	start += strings.Index(ex.Text[start:], content)
	return placement{{hf.Span{Start: start, End: start + len(content)}, strings.Index(p.response, content)}}
}

// of gives the offset in the response of a byte of the text: 0, which aligns with
// nothing, for one far before the first part, and the end of a part for one behind it.
func (at placement) of(end int) int {
	offset := 0
	for i, p := range at {
		if i == 0 || end >= p.Start {
			offset = max(0, p.to+min(end, p.End)-p.Start)
		}
	}
	return offset
}

// exceeded reports whether a path has more reasoning than a student may learn.
func (c Target) exceeded(tok tokenizer.Tokenizer, p trainPath) bool {
	return c.MaxReasoningTokens > 0 && reasoningTokens(tok, p) > c.MaxReasoningTokens
}

// reasoningTokens counts the tokens of the reasoning that is to be learned.
func reasoningTokens(tok tokenizer.Tokenizer, p trainPath) int {
	ids, _ := tok.Encode(p.thought)
	return len(ids)
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

// batchRows is one pass's worth of sequences, in rows of a common length. Position t of a
// sequence predicts ids[t+1].
type batchRows struct {
	rows, seq int
	ids       []int32   // [rows, seq]
	labels    []int32   // [rows·seq] the next token, 0 where there is none
	mask      []float32 // [rows·seq] 1 where the label is supervised
	of        []int     // [rows·seq] whose position it is; 0 for padding
	starts    []int32   // [rows·seq] the column where that sequence begins; padding is by itself
}

// makeBatch lays seqs out at places, row·seq + column. What is between them is padding.
func makeBatch(seqs []sequence, places []int, rows, seq int, pad int32) (batchRows, error) {
	n := rows * seq
	b := batchRows{
		rows: rows, seq: seq,
		ids: make([]int32, n), labels: make([]int32, n), mask: make([]float32, n), of: make([]int, n), starts: make([]int32, n),
	}
	for i := range b.ids {
		b.ids[i], b.starts[i] = pad, int32(i%seq)
	}
	for r, s := range seqs {
		at := places[r]
		if at >= n || at%seq+len(s.ids)-1 > seq {
			return b, fmt.Errorf("a sequence of %d tokens at place %d of %d rows of %d", len(s.ids), at, rows, seq)
		}
		// The last token is only ever a label.
		for t := range len(s.ids) - 1 {
			b.ids[at+t], b.labels[at+t] = s.ids[t], s.ids[t+1]
			b.of[at+t], b.starts[at+t] = r, int32(at%seq)
			if t+1 >= s.prompt {
				b.mask[at+t] = 1
			}
		}
	}
	return b, nil
}

// inRows are the places of so many sequences with a row for each.
func inRows(sequences, seq int) []int {
	places := make([]int, sequences)
	for i := range places {
		places[i] = i * seq
	}
	return places
}

// packRows puts sequences of these lengths, none longer than seq, into rows that they share:
// the longest first, each into the first row with room for it.
func packRows(lengths []int, seq int) (places []int, rows int) {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return lengths[b] - lengths[a] })
	places = make([]int, len(lengths))
	var used []int // of each row
	for _, i := range order {
		r := slices.IndexFunc(used, func(n int) bool { return n+lengths[i] <= seq })
		if r < 0 {
			r, used = len(used), append(used, 0)
		}
		places[i] = r*seq + used[r]
		used[r] += lengths[i]
	}
	return places, len(used)
}
