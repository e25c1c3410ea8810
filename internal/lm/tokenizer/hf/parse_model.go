package hf

import (
	"encoding/json"
	"fmt"
)

// modelJSON holds the fields of all models.
type modelJSON struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       json.RawMessage `json:"merges"`
	Dropout      *float64        `json:"dropout"`
	UnkToken     *string         `json:"unk_token"`
	UnkID        *int32          `json:"unk_id"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	FuseUnk      bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
	MaxChars     *int            `json:"max_input_chars_per_word"`
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func parseModel(n node) (model, error) {
	if isNull(n.raw) {
		return nil, n.errorf("is missing")
	}
	var m modelJSON
	if err := n.into(&m); err != nil {
		return nil, err
	}
	if m.Type == "" {
		m.Type = m.guess()
	}
	switch m.Type {
	case "BPE":
		return parseBPE(n, &m)
	case "Unigram":
		return parseUnigram(n, &m)
	case "WordPiece":
		v, err := parseVocab(n, m.Vocab)
		if err != nil {
			return nil, err
		}
		prefix, limit := "##", 100
		if m.Prefix != nil {
			prefix = *m.Prefix
		}
		if m.MaxChars != nil {
			limit = *m.MaxChars
		}
		unk := "[UNK]"
		if m.UnkToken != nil {
			unk = *m.UnkToken
		}
		w, err := newWordPiece(v, unk, prefix, limit)
		if err != nil {
			return nil, n.errorf("%w", err)
		}
		return w, nil
	case "WordLevel":
		v, err := parseVocab(n, m.Vocab)
		if err != nil {
			return nil, err
		}
		w := &wordLevel{vocab: v, unk: -1}
		if id, ok := v.ids[text(m.UnkToken)]; ok && m.UnkToken != nil {
			w.unk = id
		}
		return w, nil
	}
	return nil, n.unknown(m.Type)
}

// guess names the model of a file from before models had a type.
func (m *modelJSON) guess() string {
	switch {
	case m.Merges != nil:
		return "BPE"
	case m.MaxChars != nil:
		return "WordPiece"
	case len(m.Vocab) > 0 && m.Vocab[0] == '[':
		return "Unigram"
	}
	return "WordLevel"
}

func parseVocab(n node, raw json.RawMessage) (*vocab, error) {
	var ids map[string]int32
	if err := json.Unmarshal(raw, &ids); err != nil {
		return nil, n.errorf("vocab: %w", err)
	}
	v, err := newVocab(ids)
	if err != nil {
		return nil, n.errorf("vocab: %w", err)
	}
	return v, nil
}

func parseBPE(n node, m *modelJSON) (model, error) {
	if m.Dropout != nil && *m.Dropout != 0 {
		return nil, n.errorf("dropout is %v: encoding would be random; set it to null", *m.Dropout)
	}
	v, err := parseVocab(n, m.Vocab)
	if err != nil {
		return nil, err
	}
	merges, err := parseMerges(m.Merges)
	if err != nil {
		return nil, n.errorf("merges: %w", err)
	}
	b, err := newBPE(v, merges, nil, bpeSettings{
		unk: text(m.UnkToken), fuseUnk: m.FuseUnk, ignoreMerges: m.IgnoreMerges, fallback: m.ByteFallback,
		prefix: text(m.Prefix), suffix: text(m.Suffix),
	})
	if err != nil {
		return nil, n.errorf("%w", err)
	}
	return b, nil
}

// parseMerges reads merges as pairs or, in files before version 0.20 of the
// reference, as "left right".
func parseMerges(raw json.RawMessage) ([][2]string, error) {
	var pairs [][]string
	if json.Unmarshal(raw, &pairs) == nil {
		out := make([][2]string, len(pairs))
		for i, p := range pairs {
			if len(p) != 2 {
				return nil, fmt.Errorf("merge %d has %d tokens: must be two", i, len(p))
			}
			out[i] = [2]string{p[0], p[1]}
		}
		return out, nil
	}
	var lines []string
	if err := json.Unmarshal(raw, &lines); err != nil {
		return nil, err
	}
	out := make([][2]string, len(lines))
	for i, l := range lines {
		var err error
		if out[i], err = parseMerge(l); err != nil {
			return nil, fmt.Errorf("merge %d (%q): %w", i, l, err)
		}
	}
	return out, nil
}

func parseUnigram(n node, m *modelJSON) (model, error) {
	var rows [][]json.RawMessage
	if err := json.Unmarshal(m.Vocab, &rows); err != nil {
		return nil, n.errorf("vocab: %w", err)
	}
	tokens, scores := make([]string, len(rows)), make([]float64, len(rows))
	for i, r := range rows {
		if len(r) != 2 || json.Unmarshal(r[0], &tokens[i]) != nil || json.Unmarshal(r[1], &scores[i]) != nil {
			return nil, n.errorf("vocab: entry %d must be a token and its score", i)
		}
	}
	unk := int32(-1)
	if m.UnkID != nil {
		unk = *m.UnkID
	}
	u, err := newUnigram(tokens, scores, nil, unk, m.ByteFallback)
	if err != nil {
		return nil, n.errorf("%w", err)
	}
	return u, nil
}
