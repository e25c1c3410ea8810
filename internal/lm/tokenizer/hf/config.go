package hf

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/pattern"
)

// Load reads a tokenizer.json, or a SentencePiece model if the name ends in
// ".model". Errors name the file and the component.
func Load(path string) (*Tokenizer, error) {
	data, err := paths.ReadFile(path, 1<<30)
	if err != nil {
		return nil, err
	}
	parse := Parse
	if strings.HasSuffix(path, ".model") {
		parse = ParseSentencePiece
	}
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// file is the layout of a tokenizer.json.
type file struct {
	AddedTokens   []AddedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	Model         json.RawMessage `json:"model"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
}

// Parse reads a tokenizer.json.
func Parse(data []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	t := &Tokenizer{source: data}
	var err error
	if t.model, err = parseModel(node{"model", f.Model, 0}); err != nil {
		return nil, err
	}
	if f.Normalizer != nil {
		if t.normalizer, err = parseNormalizer(node{"normalizer", f.Normalizer, 0}); err != nil {
			return nil, err
		}
	}
	if f.PreTokenizer != nil {
		if t.pre, err = parsePreTokenizer(node{"pre_tokenizer", f.PreTokenizer, 0}); err != nil {
			return nil, err
		}
	}
	if f.PostProcessor != nil {
		if t.post, err = parsePostProcessor(node{"post_processor", f.PostProcessor, 0}); err != nil {
			return nil, err
		}
	}
	if f.Decoder != nil {
		if t.decoder, err = parseDecoder(node{"decoder", f.Decoder, 0}); err != nil {
			return nil, err
		}
	}
	if err := t.setAdded(f.AddedTokens); err != nil {
		return nil, err
	}
	return t, t.finish()
}

// setAdded checks the added tokens and prepares looking for them.
func (t *Tokenizer) setAdded(added []AddedToken) error {
	t.byContent, t.byID = map[string]*AddedToken{}, map[int32]*AddedToken{}
	t.spelled = map[int32]string{}
	t.added = slices.Clone(added)
	slices.SortStableFunc(t.added, func(a, b AddedToken) int { return cmp.Compare(a.ID, b.ID) })
	plain, normal := map[string]*AddedToken{}, map[string]*AddedToken{}
	for i := range t.added {
		a := &t.added[i]
		if a.Content == "" {
			continue
		}
		if a.ID < 0 || a.ID >= maxID {
			return fmt.Errorf("added_tokens: %q has id %d: ids are between 0 and %d", a.Content, a.ID, maxID-1)
		}
		t.byContent[a.Content], t.byID[a.ID] = a, a
		if !a.Normalized {
			plain[a.Content] = a
			continue
		}
		p := newPiece(a.Content)
		if t.normalizer != nil {
			if err := t.normalizer.normalize(&p); err != nil {
				return fmt.Errorf("added_tokens: %q: %w", a.Content, err)
			}
		}
		if p.text != a.Content {
			t.spelled[a.ID] = p.text
		}
		normal[p.text] = a
	}
	t.plain, t.normalized = newFinder(plain), newFinder(normal)
	return nil
}

// finish prepares what depends on several components.
func (t *Tokenizer) finish() error {
	t.scratches.New = func() any { return &scratch{} }
	if b, ok := t.model.(*bpe); ok && endsByteLevel(t.pre) && b.prefix == "" && b.suffix == "" {
		b.prepareRaw()
	}
	if t.wantsTrims = trims(t.post); t.wantsTrims {
		t.trims = make([]trim, t.model.top())
		for id := range t.trims {
			if text, ok := t.model.idToken(int32(id)); ok {
				t.trims[id] = countTrim(text)
			}
		}
	}
	return nil
}

// endsByteLevel reports whether a pre-tokenizer's last step is ByteLevel.
func endsByteLevel(p preTokenizer) bool {
	switch p := p.(type) {
	case *byteLevel:
		return true
	case preTokenizers:
		return len(p) > 0 && endsByteLevel(p[len(p)-1])
	}
	return false
}

func trims(p postProcessor) bool {
	switch p := p.(type) {
	case trimmer:
		return p.trim
	case *template:
		return p.trim != nil && p.trim.trim
	case postProcessors:
		return slices.ContainsFunc(p, trims)
	}
	return false
}

// node is a component of the file: where it stands, its text, how deep.
type node struct {
	path  string
	raw   json.RawMessage
	depth int
}

// maxNesting is how deep sequences of components may lie in one another.
const maxNesting = 16

func (n node) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", n.path, fmt.Errorf(format, args...))
}

// kind reads the component's type.
func (n node) kind() (string, error) {
	if n.depth > maxNesting {
		return "", n.errorf("components are nested more than %d deep", maxNesting)
	}
	var k struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(n.raw, &k); err != nil {
		return "", n.errorf("%w", err)
	}
	if k.Type == nil {
		return "", nil
	}
	return *k.Type, nil
}

// into decodes the component's fields.
func (n node) into(v any) error {
	if err := json.Unmarshal(n.raw, v); err != nil {
		return n.errorf("%w", err)
	}
	return nil
}

// children reads a list of components.
func (n node) children(field string) ([]node, error) {
	var fields map[string]json.RawMessage
	if err := n.into(&fields); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(fields[field], &list); err != nil {
		return nil, n.errorf("%s must be a list of components", field)
	}
	out := make([]node, len(list))
	for i, raw := range list {
		out[i] = node{fmt.Sprintf("%s.%s[%d]", n.path, field, i), raw, n.depth + 1}
	}
	return out, nil
}

func (n node) unknown(kind string) error {
	return n.errorf("type %q is not known to this version; a tokenizer without it would give other ids", kind)
}

func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// matcherJSON is the pattern field of Split and Replace.
type matcherJSON struct {
	String *string
	Regex  *string
}

func (n node) matcher(raw json.RawMessage) (literal string, re *pattern.Pattern, err error) {
	var m matcherJSON
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", nil, n.errorf("pattern: %w", err)
	}
	switch {
	case m.String != nil && m.Regex == nil:
		return *m.String, nil, nil
	case m.Regex != nil && m.String == nil:
		if re, err = pattern.Compile(*m.Regex); err != nil {
			return "", nil, n.errorf("pattern %q: %w", *m.Regex, err)
		}
		return "", re, nil
	}
	return "", nil, n.errorf("pattern must have String or Regex")
}

func parseReplace(n node) (*replacer, error) {
	var c struct {
		Pattern json.RawMessage `json:"pattern"`
		Content string          `json:"content"`
	}
	if err := n.into(&c); err != nil {
		return nil, err
	}
	literal, re, err := n.matcher(c.Pattern)
	return &replacer{literal: literal, pattern: re, content: c.Content}, err
}

func parseMetaspace(n node) (*metaspace, error) {
	var c struct {
		Replacement    string `json:"replacement"`
		AddPrefixSpace *bool  `json:"add_prefix_space"`
		PrependScheme  string `json:"prepend_scheme"`
		Split          *bool  `json:"split"`
	}
	if err := n.into(&c); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(c.Replacement) != 1 {
		return nil, n.errorf("replacement is %q: must be one character", c.Replacement)
	}
	switch c.PrependScheme {
	case "":
		c.PrependScheme = "always"
	case "always", "first", "never":
	default:
		return nil, n.errorf("prepend_scheme is %q: must be always, first or never", c.PrependScheme)
	}
	if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
		c.PrependScheme = "never"
	}
	return &metaspace{
		replacement: c.Replacement, prepend: c.PrependScheme, words: c.Split == nil || *c.Split,
		spaces: replacer{literal: " ", content: c.Replacement},
	}, nil
}
