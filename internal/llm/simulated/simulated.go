// Package simulated is a teacher that needs no network, no key and no money: a
// deterministic function from a prompt, a hint and its options to an answer.
//
// It exists so that a newcomer can run a whole recipe, and so that tests of everything
// behind the teacher have answers whose quality is known. It reasons in the shape of the
// requested style, is right as often as its options say for that style, and when it is
// wrong it reasons wrongly: an arithmetic slip or a wrong operation that carries through
// to the answer, or another option argued for. On demand it also holds misconceptions: the
// same error wherever a problem invites it. Some answers state no result and some are
// cut off, because real ones are.
//
// Its sentences use few and fixed frame words, so that the small students of the sample
// recipes, whose vocabulary is under 160 tokens, can learn from them.
package simulated

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
)

// DefaultStyle is the key of Options.Accuracy for styles that have no entry of their own.
const DefaultStyle = "default"

// Options sets how good the teacher is. All shares lie in [0, 1]. The tags are those of a
// stage's config, so that a stage can offer the options as they are.
type Options struct {
	Accuracy     map[string]float64 `json:"accuracy" doc:"Share of right answers by style, among those that state an answer. Styles not named keep their default; the entry default serves unknown styles."`
	Misconceived float64            `json:"misconceived" default:"0" min:"0" max:"1" doc:"Share of answers that follow a misconception, where the solution calculates in two steps or more. A last step that takes away or divides is taken for its opposite, and the answer is wrong; before one that adds or multiplies the teacher miscounts by one and makes up for it, and the answer is right. A share of the others is wrong as accuracy says."`
	Unparsable   float64            `json:"unparsable" default:"0.02" min:"0" max:"1" doc:"Share of answers that reason but state no result."`
	Truncated    float64            `json:"truncated" default:"0.01" min:"0" max:"1" doc:"Share of answers that are cut off, with finish reason length."`
	JudgeValid   float64            `json:"judge_valid" default:"0.95" min:"0" max:"1" doc:"Share of sound reasoning that the judge calls valid."`
	JudgeUnclear float64            `json:"judge_unclear" default:"0.01" min:"0" max:"1" doc:"Share of verdicts that are not what was asked for."`
	Thinking     bool               `json:"thinking" default:"false" doc:"Think before answering, as reasoning models do. The answers stay the same; of those that are cut off only a part of the thought arrives."`
	Inline       bool               `json:"inline" default:"false" doc:"With thinking: send the thoughts in <think> before the answer, as servers without a reasoning parser do, not in a field of their own."`
	Seed         int64              `json:"seed" default:"0" doc:"Another seed makes other mistakes."`
}

// DefaultOptions returns the teacher of the sample recipes.
func DefaultOptions() Options {
	return Options{
		Accuracy: map[string]float64{
			"cot": .85, "code": .80, "knowledge": .75, "tree": .75,
			"forward-backward": .80, "plain": .70, "power": .90, DefaultStyle: .75,
		},
		Unparsable: .02, Truncated: .01,
		JudgeValid: .95, JudgeUnclear: .01,
	}
}

// Client implements llm.Client.
type Client struct {
	o    Options
	salt [32]byte
}

// New returns a teacher. Styles that o.Accuracy does not name keep their default, so a
// caller gives only what it changes.
func New(o Options) (*Client, error) {
	acc := DefaultOptions().Accuracy
	for k, v := range o.Accuracy {
		acc[k] = v
	}
	o.Accuracy = acc
	h := sha256.New()
	names := make([]string, 0, len(acc))
	for k := range acc {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		if err := share("accuracy."+k, acc[k]); err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "%q %g\n", k, acc[k])
	}
	for _, f := range []struct {
		name string
		v    float64
	}{
		{"unparsable", o.Unparsable}, {"truncated", o.Truncated},
		{"judge_valid", o.JudgeValid}, {"judge_unclear", o.JudgeUnclear},
		{"unparsable + truncated", o.Unparsable + o.Truncated},
	} {
		if err := share(f.name, f.v); err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "%s %g\n", f.name, f.v)
	}
	fmt.Fprintf(h, "seed %d\n", o.Seed)
	if err := share("misconceived", o.Misconceived); err != nil {
		return nil, err
	}
	c := &Client{o: o}
	h.Sum(c.salt[:0])
	return c, nil
}

func share(name string, v float64) error {
	if !(v >= 0 && v <= 1) {
		return fmt.Errorf("simulated: %s is %g, want a share from 0 to 1", name, v)
	}
	return nil
}

// Complete implements llm.Client. Without a hint it still answers, in the shape of a
// number problem whose gold answer it does not know.
func (c *Client) Complete(ctx context.Context, req llm.Request) (*llm.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	h := llm.Hint{}
	if req.Hint != nil {
		h = *req.Hint
	}
	rng := c.rng(req, h)
	var text, thought, finish string
	if h.Kind == llm.HintJudge {
		text, thought, finish = c.judge(h, rng), doubt, llm.FinishStop
	} else {
		text, thought, finish = c.answer(h, rng)
	}
	switch {
	case !c.thinks(req.Thinking):
		thought = ""
	case finish == llm.FinishLength:
		thought, text = half(thought), ""
	}
	used := countTokens(thought)
	if limit := req.MaxTokens; limit > 0 {
		if cut, ok := clipTokens(thought, limit); ok {
			thought, text, used, finish = cut, "", limit, llm.FinishLength
		} else if cut, ok := clipTokens(text, limit-used); ok {
			text, finish = cut, llm.FinishLength
		}
	}
	r := &llm.Response{
		Text: text, Reasoning: thought, FinishReason: finish, Model: llm.Simulated,
		Usage: llm.Usage{PromptTokens: req.PromptBytes()/4 + 1, CompletionTokens: used + countTokens(text), ReasoningTokens: used},
	}
	if c.o.Inline && thought != "" {
		r.Text, r.Reasoning = "<think>\n"+thought+"\n", ""
		if text != "" {
			r.Text += "</think>\n\n" + text
		}
	}
	return r, nil
}

// thinks reports whether an answer comes with thoughts: as the options say, or the request,
// which goes first.
func (c *Client) thinks(asked llm.Thinking) bool {
	return !asked.Off && (c.o.Thinking || asked.Effort != "" || asked.BudgetTokens > 0)
}

// rng seeds a stream from everything that may change the answer. Lengths go in before
// texts so that no two inputs run together.
func (c *Client) rng(req llm.Request, h llm.Hint) *rand.Rand {
	d := sha256.New()
	d.Write(c.salt[:])
	put := func(s string) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		d.Write(n[:])
		d.Write([]byte(s))
	}
	put(req.Model)
	for _, m := range req.Messages {
		put(m.Role)
		put(m.Content)
	}
	for _, s := range []string{h.Kind, h.Task, h.Style, h.Question, h.Gold, h.Solution, h.Response} {
		put(s)
	}
	for _, ch := range h.Choices {
		put(ch.Label)
		put(ch.Text)
	}
	put(fmt.Sprint(req.Replicate))
	if req.Try > 0 {
		put(fmt.Sprint("try ", req.Try))
	}
	sum := d.Sum(nil)
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])))
}

// answer draws what kind of answer it gives, then writes it, and what it thought before.
func (c *Client) answer(h llm.Hint, rng *rand.Rand) (text, thought, finish string) {
	u, right := rng.Float64(), rng.Float64() < c.accuracy(h.Style)
	p := newProblem(h, rng)
	misconceived := c.o.Misconceived > 0 && rng.Float64() < c.o.Misconceived && p.misconceive()
	if !right && !misconceived {
		p.goWrong(rng)
	}
	text = p.render(h.Style)
	thought = p.thought()
	stated := text + "\n" + p.statement()
	if !strings.Contains(text, "\n") {
		stated = text + " " + p.statement()
	}
	switch {
	case u < c.o.Truncated:
		return half(text), thought, llm.FinishLength
	case u < c.o.Truncated+c.o.Unparsable:
		return text + " I cannot decide.", thought, llm.FinishStop
	}
	return stated, thought, llm.FinishStop
}

// half is the first half of a text's words.
func half(text string) string {
	words := strings.Fields(text)
	return strings.Join(words[:(len(words)+1)/2], " ")
}

func (c *Client) accuracy(style string) float64 {
	if a, ok := c.o.Accuracy[style]; ok {
		return a
	}
	return c.o.Accuracy[DefaultStyle]
}

// countTokens counts runs of letters or digits and single other characters, which is close
// to what word-level tokenizers make of such text.
func countTokens(s string) int {
	n := 0
	scanTokens(s, func(int) bool { n++; return true })
	return n
}

// clipTokens cuts s after limit tokens; ok is false if it is not longer.
func clipTokens(s string, limit int) (cut string, ok bool) {
	n := 0
	scanTokens(s, func(start int) bool {
		if n == limit {
			cut, ok = strings.TrimRight(s[:start], " \n"), true
			return false
		}
		n++
		return true
	})
	return cut, ok
}

func scanTokens(s string, token func(start int) bool) {
	inWord := false
	for i, r := range s {
		switch {
		case r == ' ' || r == '\n':
			inWord = false
			continue
		case isAlnum(r):
			if inWord {
				continue
			}
			inWord = true
		default:
			inWord = false
		}
		if !token(i) {
			return
		}
	}
}

func isAlnum(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
}
