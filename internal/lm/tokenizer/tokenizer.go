// Package tokenizer turns text into token ids and back.
//
// Two kinds are trained from data: [TrainWord] keeps words, numbers and
// punctuation whole, [TrainBPE] merges frequent byte pairs. Both cover every
// string: bytes that the training text lacks are spelled with sixteen nibble
// tokens, two for a byte, so that full coverage costs sixteen ids and not 256
// (on a small model each id costs a row of the output matrix).
//
// Every token comes with the byte offset at which it ends. Offsets are what
// training needs from a tokenizer: which tokens belong to the completion, and
// where two tokenizers agree on a boundary.
package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/base/paths"
)

// Tokenizer is what the rest of the system uses of any tokenizer.
type Tokenizer interface {
	// Encode returns the ids of text, without special tokens, and for each the
	// byte offset in text at which it ends. Offsets never fall. Several tokens may
	// end at the same offset (a byte spelled with two nibbles, a joiner of width
	// zero): the last of them has read exactly text[:offset].
	Encode(text string) (ids []int32, ends []int)
	// Decode is the inverse: Decode(Encode(text)) == text. Special tokens are left
	// out; ids out of range and half bytes are dropped.
	Decode(ids []int32) string
	// Size is the number of ids, special tokens included.
	Size() int
	// Special returns the ids that Encode never gives.
	Special() Special
	// Kind names the tokenizer's type: "word", "bpe" or "pretrained".
	Kind() string

	json.Marshaler
}

// Special are the ids with a meaning of their own.
type Special struct {
	Pad int32 // fills rows to a common length
	BOS int32 // begins a sequence
	EOS int32 // ends a completion
}

// The first ids are the same in both kinds.
const (
	idPad      = 0
	idBOS      = 1
	idEOS      = 2
	idNibble   = 3 // sixteen nibbles follow
	firstToken = idNibble + 16
)

var specials = Special{Pad: idPad, BOS: idBOS, EOS: idEOS}

// File is the name of a tokenizer in a checkpoint folder.
const File = "tokenizer.json"

// stored is the JSON form of both kinds. Tokens are byte strings; each byte is
// written as the character of the same code point, so any token is valid JSON.
type stored struct {
	Format int         `json:"format"`
	Kind   string      `json:"kind"`
	Tokens []string    `json:"tokens"`
	Merges [][2]string `json:"merges,omitempty"`
}

const format = 1

func toLatin(b string) string {
	r := make([]rune, len(b))
	for i := range len(b) {
		r[i] = rune(b[i])
	}
	return string(r)
}

func fromLatin(s string) (string, error) {
	var b []byte
	for _, r := range s {
		if r > 0xFF {
			return "", fmt.Errorf("token %q: %U does not stand for a byte", s, r)
		}
		b = append(b, byte(r))
	}
	return string(b), nil
}

// Parse reads what MarshalJSON wrote.
func Parse(data []byte) (Tokenizer, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Format != format {
		return nil, fmt.Errorf("format %d: this version reads %d", s.Format, format)
	}
	var tokens []string
	seen := map[string]bool{}
	for _, t := range s.Tokens {
		b, err := fromLatin(t)
		if err != nil {
			return nil, err
		}
		if b == "" || seen[b] {
			return nil, fmt.Errorf("token %q: empty or listed twice", t)
		}
		seen[b] = true
		tokens = append(tokens, b)
	}
	switch s.Kind {
	case kindWord:
		return newWord(tokens), nil
	case kindBPE:
		merges := make([][2]string, len(s.Merges))
		for i, m := range s.Merges {
			a, err1 := fromLatin(m[0])
			b, err2 := fromLatin(m[1])
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			if a == "" || b == "" {
				return nil, fmt.Errorf("merge %d joins an empty text", i)
			}
			if !seen[a+b] {
				return nil, fmt.Errorf("merge %d makes %q, which is not a token", i, m[0]+m[1])
			}
			merges[i] = [2]string{a, b}
		}
		return newBPE(tokens, merges), nil
	}
	return nil, fmt.Errorf("kind %q: must be %s or %s", s.Kind, kindWord, kindBPE)
}

// Load reads a tokenizer file; errors name it. A published model's tokenizer.json
// takes its special tokens from the files beside it.
func Load(path string) (Tokenizer, error) {
	data, err := paths.ReadFile(path, 1<<30)
	if err != nil {
		return nil, err
	}
	var head struct {
		Format *int            `json:"format"`
		Model  json.RawMessage `json:"model"`
	}
	if json.Unmarshal(data, &head) == nil && head.Format == nil && head.Model != nil {
		return LoadPretrained(filepath.Dir(path))
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Train trains a tokenizer of the named kind on texts, with at most size ids.
func Train(kind string, texts []string, size int) (Tokenizer, error) {
	if size < firstToken+minTokens {
		return nil, fmt.Errorf("tokenizer size %d: must be at least %d", size, firstToken+minTokens)
	}
	switch kind {
	case kindWord:
		return TrainWord(texts, size), nil
	case kindBPE:
		return TrainBPE(texts, size), nil
	}
	return nil, fmt.Errorf("tokenizer kind %q: must be %s or %s", kind, kindWord, kindBPE)
}

// minTokens is the least room for tokens besides special ones and nibbles.
const minTokens = 4

// nibbles appends the two ids of byte b, both ending at end.
func nibbles(ids []int32, ends []int, b byte, end int) ([]int32, []int) {
	return append(ids, idNibble+int32(b>>4), idNibble+int32(b&15)), append(ends, end, end)
}

// nibbleReader joins nibbles back to bytes.
type nibbleReader struct {
	high int32
	half bool
}

// next takes an id. ok says that it was a nibble; done that it completed b.
func (n *nibbleReader) next(id int32) (b byte, done, ok bool) {
	if id < idNibble || id >= firstToken {
		n.half = false
		return 0, false, false
	}
	v := id - idNibble
	if !n.half {
		n.high, n.half = v, true
		return 0, false, true
	}
	n.half = false
	return byte(n.high<<4 | v), true, true
}
