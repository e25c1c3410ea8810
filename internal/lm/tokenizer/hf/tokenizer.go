package hf

import (
	"fmt"
	"strings"
	"sync"
)

// Tokenizer encodes and decodes text. It may be used from several goroutines.
type Tokenizer struct {
	normalizer normalizer // the components may be nil
	pre        preTokenizer
	model      model
	post       postProcessor
	decoder    decoder

	added      []AddedToken // by rising id
	byContent  map[string]*AddedToken
	byID       map[int32]*AddedToken
	spelled    map[int32]string // normalized text of added tokens, where it differs
	plain      *finder          // tokens looked for in the text as it stands
	normalized *finder
	trims      []trim // by id of the model, where post-processing needs it
	source     []byte // the file as read
	scratches  sync.Pool
	wantsTrims bool
}

// Options changes how a text is encoded.
type Options struct {
	// Special lets post-processing add its tokens (BOS, [CLS], ...).
	Special bool
	// PlainSpecial reads the text of special tokens as ordinary text, so that data
	// cannot forge a turn of a conversation.
	PlainSpecial bool
	// Plain lists stretches of the first text in which special tokens are ordinary
	// text: what a user wrote, inside of what a template put around it.
	Plain []Span
	// Truncate cuts to a length; nil does not. What the file says of truncation and
	// padding is not looked at.
	Truncate *Truncation
}

// Encode encodes a text. With special, post-processing adds its tokens.
func (t *Tokenizer) Encode(text string, special bool) (*Encoding, error) {
	return t.EncodeWith(Options{Special: special}, text)
}

// EncodeWith encodes a text, or two as a pair.
func (t *Tokenizer) EncodeWith(o Options, texts ...string) (*Encoding, error) {
	if len(texts) == 0 || len(texts) > 2 {
		return nil, fmt.Errorf("%d texts: must be one, or two for a pair", len(texts))
	}
	parts := make([]*Encoding, len(texts))
	for i, text := range texts {
		e, err := t.encode(text, int8(i), o)
		if err != nil {
			return nil, err
		}
		e.texts = texts
		parts[i] = e
	}
	if o.Truncate != nil {
		if err := t.truncate(parts, o); err != nil {
			return nil, err
		}
	}
	if t.post != nil {
		parts = t.post.process(parts, o.Special)
	}
	return join(parts), nil
}

func (t *Tokenizer) truncate(parts []*Encoding, o Options) error {
	limit := o.Truncate.MaxLength
	if o.Special && t.post != nil {
		limit -= t.post.added(len(parts) > 1)
	}
	if limit < 0 {
		return fmt.Errorf("truncation to %d tokens leaves no room for the special ones", o.Truncate.MaxLength)
	}
	if len(parts) == 1 {
		return parts[0].truncate(limit, *o.Truncate)
	}
	a, b := parts[0].Len(), parts[1].Len()
	over := a + b - limit
	if over <= 0 {
		return nil
	}
	switch o.Truncate.Strategy {
	case "only_first":
		a -= over
	case "only_second":
		b -= over
	case "", "longest_first":
		// The shorter one stays whole if it can; else both get half.
		short := min(a, b)
		long := max(short, limit-short)
		if short > limit {
			long = short
		}
		if short+long > limit {
			short = limit / 2
			long = short + limit%2
		}
		if a > b {
			a, b = long, short
		} else {
			a, b = short, long
		}
	default:
		return fmt.Errorf("truncation strategy %q: must be longest_first, only_first or only_second", o.Truncate.Strategy)
	}
	if a <= 0 && b <= 0 || a < 0 || b < 0 {
		return fmt.Errorf("truncation: one text is too short to cut %d tokens from it", over)
	}
	if err := parts[0].truncate(a, *o.Truncate); err != nil {
		return err
	}
	return parts[1].truncate(b, *o.Truncate)
}

// encode runs the steps up to the model.
func (t *Tokenizer) encode(text string, seq int8, o Options) (*Encoding, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("a text of %d bytes is longer than %d", len(text), maxText)
	}
	e := &Encoding{}
	if text == "" {
		return e, nil
	}
	whole := newPiece(text)
	plain := plainness{all: o.PlainSpecial}
	if seq == 0 {
		plain.spans = o.Plain
	}
	raw := t.plain.split(nil, &whole, plain)
	pieces := make([]piece, 0, len(raw))
	for i := range raw {
		p := &raw[i]
		if p.token >= 0 {
			pieces = append(pieces, *p)
			continue
		}
		if t.normalizer != nil {
			if err := t.normalizer.normalize(p); err != nil {
				return nil, fmt.Errorf("normalizer: %w", err)
			}
		}
		if p.text != "" {
			pieces = t.normalized.split(pieces, p, plain)
		}
	}
	if t.pre != nil {
		var err error
		if pieces, err = t.pre.split(pieces); err != nil {
			return nil, fmt.Errorf("pre_tokenizer: %w", err)
		}
	}
	s := t.scratches.Get().(*scratch)
	defer t.scratches.Put(s)
	e.grow(len(text)/4 + 4)
	var tokens []token
	for w := range pieces {
		p := &pieces[w]
		if p.token >= 0 {
			at := p.source(0, len(p.text))
			e.add(p.token, Span{int(at.start), int(at.end)}, int32(seq), int32(w), seq, false)
			if t.wantsTrims {
				e.trims = append(e.trims, countTrim(p.text))
			}
			continue
		}
		var err error
		if tokens, err = t.model.tokenize(tokens[:0], p, s); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
		for _, tok := range tokens {
			at := p.source(int(tok.start), int(tok.end))
			e.add(tok.id, Span{int(at.start), int(at.end)}, int32(seq), int32(w), seq, false)
			if t.wantsTrims {
				e.trims = append(e.trims, t.trims[tok.id])
			}
		}
	}
	return e, nil
}

// countTrim counts the white space at the ends of a token's text, where the
// byte-level space counts too.
func countTrim(text string) trim {
	space := func(r rune) bool { return r == byteChars[' '] || isWhitespace(r) }
	n := func(s string) int32 { return int32(len([]rune(s))) }
	all := n(text)
	return trim{all - n(strings.TrimLeftFunc(text, space)), all - n(strings.TrimRightFunc(text, space))}
}

// Decode turns ids into text. Ids the tokenizer does not have are left out, and
// with skipSpecial special tokens too.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) (string, error) {
	tokens := make([]string, 0, len(ids))
	for _, id := range ids {
		text, ok := t.decodeToken(id)
		if !ok {
			continue
		}
		if a := t.byContent[text]; skipSpecial && a != nil && a.Special {
			continue
		}
		tokens = append(tokens, text)
	}
	if t.decoder == nil {
		return strings.Join(tokens, " "), nil
	}
	if len(tokens) == 0 {
		return "", nil
	}
	out, err := t.decoder.decode(tokens)
	if err != nil {
		return "", fmt.Errorf("decoder: %w", err)
	}
	return strings.Join(out, ""), nil
}

func (t *Tokenizer) decodeToken(id int32) (string, bool) {
	if s, ok := t.spelled[id]; ok {
		return s, true
	}
	return t.IDToken(id)
}

// IDToken gives the text of a token as the vocabulary spells it.
func (t *Tokenizer) IDToken(id int32) (string, bool) {
	if a, ok := t.byID[id]; ok {
		return a.Content, true
	}
	return t.model.idToken(id)
}

// TokenID gives the id of a token of the vocabulary or an added one.
func (t *Tokenizer) TokenID(text string) (int32, bool) {
	if a, ok := t.byContent[text]; ok {
		return a.ID, true
	}
	return t.model.tokenID(text)
}

// Size is one more than the highest id, added tokens included: the number of rows
// an embedding needs at least.
func (t *Tokenizer) Size() int {
	n := t.model.top()
	for _, a := range t.added {
		n = max(n, int(a.ID)+1)
	}
	return n
}

// Added lists the added tokens by rising id.
func (t *Tokenizer) Added() []AddedToken { return append([]AddedToken(nil), t.added...) }

// IsSpecial reports whether an id is a special added token.
func (t *Tokenizer) IsSpecial(id int32) bool {
	a := t.byID[id]
	return a != nil && a.Special
}

// JSON returns the tokenizer.json it was read from. The caller must not change it.
func (t *Tokenizer) JSON() []byte { return t.source }
