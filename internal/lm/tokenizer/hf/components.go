package hf

import (
	"encoding/base64"
	"encoding/json"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/pattern"
)

// A null component counts as left out.

// sequence parses the components that a Sequence lists, leaving out those that are
// none.
func sequence[T any](n node, field string, parse func(node) (T, error)) ([]T, error) {
	nodes, err := n.children(field)
	if err != nil {
		return nil, err
	}
	var out []T
	for _, c := range nodes {
		one, err := parse(c)
		if err != nil {
			return nil, err
		}
		if any(one) != nil {
			out = append(out, one)
		}
	}
	return out, nil
}

func parseNormalizer(n node) (normalizer, error) {
	if isNull(n.raw) {
		return nil, nil
	}
	kind, err := n.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		parts, err := sequence(n, "normalizers", parseNormalizer)
		if err != nil {
			return nil, err
		}
		return normalizers(parts), nil
	case "NFC":
		return normalizeFunc(formNFC.normalize), nil
	case "NFD":
		return normalizeFunc(formNFD.normalize), nil
	case "NFKC":
		return normalizeFunc(formNFKC.normalize), nil
	case "NFKD":
		return normalizeFunc(formNFKD.normalize), nil
	case "Lowercase":
		return normalizeFunc(lowercase), nil
	case "StripAccents":
		return normalizeFunc(stripAccents), nil
	case "Nmt":
		return normalizeFunc(nmt), nil
	case "ByteLevel":
		return normalizeFunc(spellBytes), nil
	case "Strip":
		var c struct {
			Left  bool `json:"strip_left"`
			Right bool `json:"strip_right"`
		}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		return strip{c.Left, c.Right}, nil
	case "Prepend":
		var c struct {
			Prepend string `json:"prepend"`
		}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		return normalizeFunc(func(p *piece) { p.prepend(c.Prepend) }), nil
	case "Replace":
		return parseReplace(n)
	case "BertNormalizer":
		c := &bert{CleanText: true, HandleChineseChars: true, Lowercase: true}
		return c, n.into(c)
	case "Precompiled":
		var c struct {
			Map string `json:"precompiled_charsmap"`
		}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		data, err := base64.StdEncoding.DecodeString(c.Map)
		if err != nil {
			return nil, n.errorf("precompiled_charsmap: %w", err)
		}
		if len(data) == 0 {
			return nil, nil
		}
		m, err := parseCharsmap(data)
		if err != nil {
			return nil, n.errorf("%w", err)
		}
		return m, nil
	}
	return nil, n.unknown(kind)
}

func parsePreTokenizer(n node) (preTokenizer, error) {
	if isNull(n.raw) {
		return nil, nil
	}
	kind, err := n.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		parts, err := sequence(n, "pretokenizers", parsePreTokenizer)
		if err != nil {
			return nil, err
		}
		return preTokenizers(parts), nil
	case "ByteLevel":
		c := struct {
			AddPrefixSpace bool `json:"add_prefix_space"`
			UseRegex       bool `json:"use_regex"`
		}{true, true}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		b := &byteLevel{prefixSpace: c.AddPrefixSpace}
		if c.UseRegex {
			re, err := pattern.Compile(gpt2)
			if err != nil {
				return nil, n.errorf("%w", err)
			}
			b.words = &splitter{pattern: re, how: isolated}
		}
		return b, nil
	case "Split":
		return parseSplit(n)
	case "Metaspace":
		return parseMetaspace(n)
	case "Whitespace":
		return preTokenizeFunc(whitespaceWords), nil
	case "WhitespaceSplit":
		return runeSplitter{isWhitespace, removed}, nil
	case "BertPreTokenizer":
		return preTokenizers{runeSplitter{isWhitespace, removed}, runeSplitter{isPunctuation, isolated}}, nil
	case "Digits":
		var c struct {
			Individual bool `json:"individual_digits"`
		}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		if c.Individual {
			return runeSplitter{isNumeric, isolated}, nil
		}
		return runeSplitter{isNumeric, contiguous}, nil
	case "Punctuation":
		c := struct {
			Behavior behavior `json:"behavior"`
		}{isolated}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		if !c.Behavior.known() {
			return nil, n.errorf("behavior %q is not known", c.Behavior)
		}
		return runeSplitter{isPunctuation, c.Behavior}, nil
	case "CharDelimiterSplit":
		var c struct {
			Delimiter string `json:"delimiter"`
		}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		if len([]rune(c.Delimiter)) != 1 {
			return nil, n.errorf("delimiter is %q: must be one character", c.Delimiter)
		}
		return &splitter{literal: c.Delimiter, how: removed}, nil
	case "FixedLength":
		c := struct {
			Length int `json:"length"`
		}{5}
		if err := n.into(&c); err != nil {
			return nil, err
		}
		if c.Length < 1 {
			return nil, n.errorf("length is %d: must be at least 1", c.Length)
		}
		return fixedLength(c.Length), nil
	}
	return nil, n.unknown(kind)
}

func parseSplit(n node) (preTokenizer, error) {
	var c struct {
		Pattern  json.RawMessage `json:"pattern"`
		Behavior behavior        `json:"behavior"`
		Invert   bool            `json:"invert"`
	}
	if err := n.into(&c); err != nil {
		return nil, err
	}
	if !c.Behavior.known() {
		return nil, n.errorf("behavior %q is not known", c.Behavior)
	}
	literal, re, err := n.matcher(c.Pattern)
	if err != nil {
		return nil, err
	}
	return &splitter{literal: literal, pattern: re, how: c.Behavior, invert: c.Invert}, nil
}

func parseDecoder(n node) (decoder, error) {
	if isNull(n.raw) {
		return nil, nil
	}
	kind, err := n.kind()
	if err != nil {
		return nil, err
	}
	c := struct {
		Content   string  `json:"content"`
		Start     int     `json:"start"`
		Stop      int     `json:"stop"`
		Prefix    *string `json:"prefix"`
		Suffix    *string `json:"suffix"`
		Pad       string  `json:"pad_token"`
		Delimiter string  `json:"word_delimiter_token"`
		Cleanup   *bool   `json:"cleanup"`
	}{}
	text := func(s *string, otherwise string) string {
		if s == nil {
			return otherwise
		}
		return *s
	}
	cleanup := func() bool { return c.Cleanup == nil || *c.Cleanup }
	switch kind {
	case "Sequence":
		parts, err := sequence(n, "decoders", parseDecoder)
		if err != nil {
			return nil, err
		}
		return decoders(parts), nil
	case "ByteLevel":
		return byteLevelDecoder{}, nil
	case "ByteFallback":
		return byteFallback{}, nil
	case "Fuse":
		return fuse{}, nil
	case "Replace":
		return parseReplace(n)
	case "Metaspace":
		return parseMetaspace(n)
	case "Strip":
		if err := n.into(&c); err != nil {
			return nil, err
		}
		if c.Content == "" {
			return nil, n.errorf("content is empty")
		}
		return &stripDecoder{c.Content, c.Start, c.Stop}, nil
	case "WordPiece":
		err := n.into(&c)
		return wordPieceDecoder(text(c.Prefix, "##"), cleanup()), err
	case "BPEDecoder":
		err := n.into(&c)
		return suffixDecoder(text(c.Suffix, "</w>")), err
	case "CTC":
		err := n.into(&c)
		return &ctc{c.Pad, c.Delimiter, cleanup()}, err
	}
	return nil, n.unknown(kind)
}
