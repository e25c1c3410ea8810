package train

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/schema"
)

// Pick says which example [Render] lays out.
type Pick struct {
	Row     int    // 0-based among the usable paths; not looked at with ID or Style
	ID      string // the first path of this problem
	Style   string // the first path of this style, of the problem where ID is given
	Student string // "" is the first
}

// PickError is a [Pick] that nothing answers to.
type PickError struct{ msg string }

// Error implements error.
func (e *PickError) Error() string { return e.msg }

func noPick(format string, args ...any) error { return &PickError{fmt.Sprintf(format, args...)} }

// Rendered is one training example as a student reads it. Fields are only ever
// added.
type Rendered struct {
	Stage    string   `json:"stage"` // for the caller to fill in
	Uses     string   `json:"uses"`
	Row      int      `json:"row"`  // among the usable paths
	Rows     int      `json:"rows"` // usable paths there are
	ID       string   `json:"id"`
	Style    string   `json:"style"`
	Path     int      `json:"path"` // among all paths of the problem
	Student  string   `json:"student"`
	Students []string `json:"students"`

	Text   string          `json:"text"` // what was tokenized
	Tokens []RenderedToken `json:"tokens"`

	PromptTokens     int `json:"prompt_tokens"` // before the first with loss
	SupervisedTokens int `json:"supervised_tokens"`
	ReasoningTokens  int `json:"reasoning_tokens"` // of the reasoning that is learned, which max_reasoning_tokens limits
	MaxSeq           int `json:"max_seq"`
	// Dropped says why training leaves the path out; "" if it does not.
	Dropped string `json:"dropped"`
	// HeldOut paths measure the dev loss and are not trained on.
	HeldOut bool `json:"held_out"`
}

// RenderedToken is one token of a [Rendered].
type RenderedToken struct {
	Index int   `json:"index"`
	ID    int32 `json:"id"`
	// Text is the bytes of the rendered text between the token before and End, or
	// the name of a special token that stands for none.
	Text    string  `json:"text"`
	Special bool    `json:"special"`
	End     int     `json:"end"` // byte offset in the rendered text
	Loss    bool    `json:"loss"`
	Weight  float64 `json:"weight"` // 1/supervised tokens where there is loss, else 0
}

// RenderTypes lists the stage types whose configs [Render] takes.
func RenderTypes() []string { return []string{moeType, sftType} }

// Render lays out one example of a training stage by the code that trains on it.
// cfg is the value of the stage's config. Tokenizer and chat template are read,
// weights are not. A pick without an example is a *[PickError].
func Render(ctx context.Context, cfg any, rows stage.Rows[schema.Problem], pick Pick) (*Rendered, error) {
	c, ok := cfg.(interface{ plan() *plan })
	if !ok {
		return nil, fmt.Errorf("this is not a config of %s", strings.Join(RenderTypes(), " or "))
	}
	p := c.plan()
	out := &Rendered{Uses: p.uses, MaxSeq: p.maxSeq}
	for _, s := range p.students {
		out.Students = append(out.Students, s.name)
	}
	out.Student = out.Students[0]
	if pick.Student != "" {
		if out.Student = pick.Student; !slices.Contains(out.Students, pick.Student) {
			return nil, noPick("there is no student %q: the stage has %s", pick.Student, strings.Join(out.Students, ", "))
		}
	}
	paths, _, err := readPaths(rows, p.use)
	if err != nil {
		return nil, err
	}
	if out.Row, err = pick.of(paths); err != nil {
		return nil, err
	}
	path := paths[out.Row]
	out.Rows, out.ID, out.Style, out.Path = len(paths), path.id, path.style, path.index
	if err := out.fill(ctx, p, paths); err != nil {
		return nil, err
	}
	out.PromptTokens = len(out.Tokens)
	for i := range out.Tokens {
		if t := &out.Tokens[i]; t.Loss {
			t.Weight = 1 / float64(out.SupervisedTokens)
			out.PromptTokens = min(out.PromptTokens, i)
		}
	}
	return out, nil
}

// of finds the path that is picked.
func (k Pick) of(paths []trainPath) (int, error) {
	if len(paths) == 0 {
		return 0, noPick("there is no usable path: one that is answered in full, not verified wrong and not judged invalid")
	}
	if k.ID == "" && k.Style == "" {
		if k.Row < 0 || k.Row >= len(paths) {
			return 0, noPick("there is no row %d: the stage has %d usable paths, rows 0 to %d", k.Row, len(paths), len(paths)-1)
		}
		return k.Row, nil
	}
	i := slices.IndexFunc(paths, func(p trainPath) bool {
		return (k.ID == "" || p.id == k.ID) && (k.Style == "" || p.style == k.Style)
	})
	if i >= 0 {
		return i, nil
	}
	var what []string
	if k.ID != "" {
		what = append(what, fmt.Sprintf("problem %q", k.ID))
	}
	if k.Style != "" {
		what = append(what, fmt.Sprintf("style %q", k.Style))
	}
	return 0, noPick("none of the %d usable paths is of %s; paths without a whole answer, verified wrong or judged invalid are left out", len(paths), strings.Join(what, " and "))
}

// add appends a token that ends at byte end of r.Text. name is the spelling of a
// special token, "" for others.
func (r *Rendered) add(id int32, end int, name string, loss bool) {
	t := RenderedToken{Index: len(r.Tokens), ID: id, Special: name != "", End: end, Loss: loss}
	from := 0
	if n := len(r.Tokens); n > 0 {
		from = r.Tokens[n-1].End
	}
	if t.Text = r.Text[from:end]; t.Text == "" {
		t.Text = name
	}
	r.Tokens = append(r.Tokens, t)
}

// fill lays out the path that was picked as its student reads it. A path that is too
// long for any student is dropped for all.
func (r *Rendered) fill(ctx context.Context, p *plan, paths []trainPath) error {
	path := paths[r.Row]
	if path.response == "" {
		r.Dropped = "it has no reasoning (student_target: " + p.use.target.StudentTarget + ")"
		return nil
	}
	var drop []string
	for _, s := range p.students {
		x := &Rendered{Row: r.Row, MaxSeq: r.MaxSeq}
		if s.name == r.Student {
			x = r
		}
		var err error
		if s.model != "" {
			err = renderChat(ctx, x, s, path)
		} else {
			err = renderScratch(x, s, paths)
		}
		if limit := p.use.target.MaxReasoningTokens; limit > 0 && x.ReasoningTokens > limit {
			x.Dropped = fmt.Sprintf("its reasoning of %d tokens is more than max_reasoning_tokens %d", x.ReasoningTokens, limit)
		}
		if err != nil {
			return fmt.Errorf("student %s: %w", s.name, err)
		}
		switch {
		case x.Dropped == "":
		case len(p.students) == 1:
			drop = append(drop, x.Dropped)
		default:
			drop = append(drop, "for "+s.name+" "+x.Dropped)
		}
	}
	r.Dropped = strings.Join(drop, "; ")
	r.HeldOut = r.Dropped == "" && held(path.id, p.devFraction)
	return nil
}

// renderChat lays out a path as a published model reads it.
func renderChat(ctx context.Context, r *Rendered, s studentPlan, p trainPath) (err error) {
	base, err := pretrained.Open(ctx, s.model, pretrained.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	// The parts of a model that encodeChat looks at.
	m := &causal.Model{Config: base.Config}
	if m.Tokenizer, err = base.LoadTokenizer(s.tokenizerFrom); err != nil {
		return err
	}
	if m.Template, err = base.Template(s.tokenizerFrom); err != nil {
		return err
	}
	q, ex, e, err := encodeChat(m, p)
	if err != nil {
		return fmt.Errorf("problem %s: %w", p.id, err)
	}
	r.ReasoningTokens = reasoningTokens(m.Tokenizer, p)
	r.Text, r.SupervisedTokens, r.MaxSeq = ex.Text, q.supervised(), min(r.MaxSeq, base.Config.MaxSeq)
	for i, id := range q.ids {
		name := ""
		if m.Tokenizer.IsSpecial(id) {
			name, _ = m.Tokenizer.IDToken(id)
		}
		r.add(id, e.Ends[i], name, i >= q.prompt)
	}
	switch {
	case r.SupervisedTokens == 0:
		r.Dropped = "no token of it carries loss"
	case len(q.ids) > r.MaxSeq:
		r.Dropped = fmt.Sprintf("its %d tokens are more than max_seq %d", len(q.ids), r.MaxSeq)
	}
	return nil
}

// renderScratch trains the student's tokenizer first, as training does: its ids
// follow from all paths.
func renderScratch(r *Rendered, s studentPlan, paths []trainPath) error {
	p := paths[r.Row]
	tok, err := tokenizer.Train(s.tokenizer, textsOf(paths), s.vocab)
	if err != nil {
		return err
	}
	q, ok := encodePath(tok, p.prompt, p.response, r.MaxSeq)
	if !ok {
		r.Dropped = fmt.Sprintf("its %d tokens are more than max_seq %d", len(q.ids), r.MaxSeq)
	}
	r.Text, r.SupervisedTokens, r.ReasoningTokens = p.prompt+p.response, q.supervised(), reasoningTokens(tok, p)
	_, ends := tok.Encode(p.prompt)
	ends = append([]int{0}, ends...)
	for _, end := range q.ends {
		ends = append(ends, len(p.prompt)+end)
	}
	ends = append(ends, len(r.Text))
	names := map[int]string{0: "<bos>", len(q.ids) - 1: "<eos>"}
	for k, id := range q.ids {
		r.add(id, ends[k], names[k], k >= q.prompt)
	}
	return nil
}
