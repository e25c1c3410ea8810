package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

const kindPretrained = "pretrained"

// Pretrained is the tokenizer of a published model as a [Tokenizer]. Text is encoded
// without special tokens, and special tokens spelled in it are ordinary text. What
// its normalizer changes (Unicode forms, white space) does not come back from
// Decode.
type Pretrained struct {
	*hf.Tokenizer
	special Special
}

// NewPretrained wraps a tokenizer. The special tokens are named by their texts; an
// empty bos is the id -1. An empty pad takes the first of the usual padding tokens
// that exists and is not eos: a model whose padding is EOS never learns to stop.
func NewPretrained(t *hf.Tokenizer, bos, eos, pad string) (*Pretrained, error) {
	p := &Pretrained{Tokenizer: t, special: Special{Pad: -1, BOS: -1, EOS: -1}}
	for _, s := range []struct {
		name, text string
		id         *int32
	}{{"bos_token", bos, &p.special.BOS}, {"eos_token", eos, &p.special.EOS}, {"pad_token", pad, &p.special.Pad}} {
		if s.text == "" {
			continue
		}
		id, ok := t.TokenID(s.text)
		if !ok {
			return nil, fmt.Errorf("%s %q is not in the vocabulary", s.name, s.text)
		}
		*s.id = id
	}
	if p.special.EOS < 0 {
		return nil, errors.New("no eos_token is named: a model needs one to end its answers")
	}
	if p.special.Pad == p.special.EOS {
		p.special.Pad = -1
	}
	for _, text := range []string{
		"<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<|endoftext|>", "<|pad|>", "<unk>", "[UNK]", "<|reserved_special_token_0|>",
	} {
		if p.special.Pad >= 0 {
			break
		}
		if id, ok := t.TokenID(text); ok && id != p.special.EOS && id != p.special.BOS {
			p.special.Pad = id
		}
	}
	if p.special.Pad < 0 {
		return nil, errors.New("no token can serve as padding: name a pad_token other than eos_token in tokenizer_config.json")
	}
	return p, nil
}

// LoadPretrained reads tokenizer.json, or tokenizer.model, of a model's folder, and
// the special tokens of tokenizer_config.json. Errors name the file.
func LoadPretrained(dir string) (*Pretrained, error) {
	path := filepath.Join(dir, File)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if other := filepath.Join(dir, "tokenizer.model"); exists(other) {
			path = other
		}
	}
	t, err := hf.Load(path)
	if err != nil {
		return nil, err
	}
	names, err := specialNames(dir, t)
	if err != nil {
		return nil, err
	}
	p, err := NewPretrained(t, names.BOS, names.EOS, names.Pad)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// specialNames reads the texts of the special tokens; without the files that give
// them it takes the usual ones that exist.
func specialNames(dir string, t *hf.Tokenizer) (chat.Tokens, error) {
	names, err := chat.ReadTokens(dir)
	if err != nil || exists(filepath.Join(dir, chat.ConfigFile)) || names.EOS != "" {
		return names, err
	}
	usual := func(texts ...string) string {
		for _, text := range texts {
			if _, ok := t.TokenID(text); ok {
				return text
			}
		}
		return ""
	}
	return chat.Tokens{
		BOS: usual("<bos>", "<s>", "<|begin_of_text|>", "[CLS]"),
		EOS: usual("<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>", "[SEP]"),
	}, nil
}

// Encode implements [Tokenizer]. A text that the model has no tokens for (only one
// without an unknown token can lack them) gives none; [Pretrained.EncodeWith] says
// why.
func (p *Pretrained) Encode(text string) (ids []int32, ends []int) {
	e, err := p.EncodeWith(hf.Options{PlainSpecial: true}, text)
	if err != nil {
		return nil, nil
	}
	ends = make([]int, len(e.Offsets))
	end := 0
	for i, o := range e.Offsets {
		// Normalization may change the order of marks.
		end = max(end, o.End)
		ends[i] = end
	}
	return e.IDs, ends
}

// Decode implements [Tokenizer].
func (p *Pretrained) Decode(ids []int32) string {
	text, err := p.Tokenizer.Decode(ids, true)
	if err != nil {
		return ""
	}
	return text
}

// Special implements [Tokenizer].
func (p *Pretrained) Special() Special { return p.special }

// Kind implements [Tokenizer].
func (p *Pretrained) Kind() string { return kindPretrained }

// MarshalJSON gives the tokenizer.json it was read from.
func (p *Pretrained) MarshalJSON() ([]byte, error) {
	data := p.JSON()
	if !json.Valid(data) {
		return nil, errors.New("a SentencePiece model is not JSON: save the tokenizer.model it was read from")
	}
	return data, nil
}

var _ Tokenizer = (*Pretrained)(nil)
