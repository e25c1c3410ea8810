package gguf

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// Kinds of tokens; those of SentencePiece.
const (
	tokenNormal  = 1
	tokenUnknown = 2
	tokenControl = 3
	tokenUser    = 4
	tokenUnused  = 5
	tokenByte    = 6
)

type tokens struct {
	model  string
	texts  []string
	scores []float64
	kinds  []int64
	merges []string
	pre    preSplit
}

func (t tokens) kind(i int) int64 {
	if t.kinds == nil {
		return tokenNormal
	}
	return t.kinds[i]
}

// Kinds of tokenizers (tokenizer.ggml.model).
const (
	kindSentencePiece = "llama"
	kindByteLevel     = "gpt2"
	kindWordPiece     = "bert"
	kindUnigram       = "t5"
)

// Tokenizer writes the tokenizer in the metadata as a file of a Hugging Face folder:
// tokenizer.model (SentencePiece, Unigram) or tokenizer.json, by its name. A kind that is
// not known is an error.
func (f *File) Tokenizer() (name string, data []byte, err error) {
	t, err := f.tokens()
	if err != nil {
		return "", nil, err
	}
	switch t.model {
	case kindSentencePiece, kindUnigram:
		return "tokenizer.model", f.sentencePiece(t), nil
	case kindWordPiece:
		data, err = f.wordPiece(t)
	default:
		data, err = f.byteLevel(t)
	}
	if err != nil {
		return "", nil, f.tokenizerError("%v", err)
	}
	return "tokenizer.json", data, nil
}

// CheckTokenizer tells whether [File.Tokenizer] knows the tokenizer, without writing it.
func (f *File) CheckTokenizer() error {
	_, err := f.tokens()
	return err
}

func (f *File) tokenizerError(format string, args ...any) error {
	return fmt.Errorf("%s: tokenizer in the metadata: %s; put a tokenizer.json beside the file", f.Path, fmt.Sprintf(format, args...))
}

// tokens reads and checks the tokenizer's metadata.
func (f *File) tokens() (t tokens, err error) {
	const key = "tokenizer.ggml."
	t.model, _ = f.Metadata[key+"model"].(string)
	t.texts, _ = f.Metadata[key+"tokens"].([]string)
	t.scores, _ = f.Metadata[key+"scores"].([]float64)
	t.kinds, _ = f.Metadata[key+"token_type"].([]int64)
	t.merges, _ = f.Metadata[key+"merges"].([]string)
	if len(t.texts) == 0 {
		return t, f.tokenizerError("there are no tokens")
	}
	if t.kinds != nil && len(t.kinds) != len(t.texts) || t.scores != nil && len(t.scores) != len(t.texts) {
		return t, f.tokenizerError("%d tokens with %d scores and %d kinds", len(t.texts), len(t.scores), len(t.kinds))
	}
	if i := slices.Index(t.texts, ""); i >= 0 {
		t.texts = slices.Clone(t.texts)
		for ; i < len(t.texts); i++ {
			if t.texts[i] == "" {
				t.texts[i] = fmt.Sprintf("[EMPTY_%d]", i)
			}
		}
	}
	switch t.model {
	case kindSentencePiece, kindUnigram:
		if t.scores == nil {
			return t, f.tokenizerError("tokens without scores")
		}
	case kindByteLevel:
		pre, _ := f.Metadata[key+"pre"].(string)
		ok := false
		if t.pre, ok = preSplits[cmp.Or(pre, "default")]; !ok {
			return t, f.tokenizerError("pre-tokenizer %q is not supported", pre)
		}
		if len(t.merges) == 0 {
			return t, f.tokenizerError("there are no merges")
		}
	case kindWordPiece:
		if f.id("unknown") < 0 {
			return t, f.tokenizerError("there is no unknown_token_id")
		}
	default:
		return t, f.tokenizerError("kind %q is not supported", t.model)
	}
	return t, nil
}

// standard are the ids of special tokens that a file need not name, as in llama.cpp.
var standard = map[string]map[string]int{
	kindSentencePiece: {"bos": 1, "eos": 2, "unknown": 0},
	kindUnigram:       {"eos": 1, "unknown": 2, "padding": 0},
	kindWordPiece:     {"bos": 101, "unknown": 100, "seperator": 102, "padding": 0},
}

// id reads a token id of the metadata; -1 where there is none, or no such token.
func (f *File) id(name string) int {
	model, _ := f.Metadata["tokenizer.ggml.model"].(string)
	texts, _ := f.Metadata["tokenizer.ggml.tokens"].([]string)
	id, ok := standard[model][name]
	if v, given := f.Metadata["tokenizer.ggml."+name+"_token_id"]; given {
		var n uint64
		if n, ok = v.(uint64); n > math.MaxInt32 {
			return -1
		}
		id = int(n)
	}
	if !ok || id >= len(texts) {
		return -1
	}
	return id
}

func (f *File) flag(name string, def bool) bool {
	if v, ok := f.Metadata["tokenizer.ggml."+name].(bool); ok {
		return v
	}
	return def
}

// sentencePiece writes the protocol buffer of a BPE or Unigram model: pieces (field 1),
// trainer (2) and normalizer settings (3), and what only llama.cpp has (200).
func (f *File) sentencePiece(t tokens) []byte {
	var out []byte
	varint := func(b []byte, num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
	}
	message := func(num protowire.Number, b []byte) {
		out = protowire.AppendBytes(protowire.AppendTag(out, num, protowire.BytesType), b)
	}
	bit := func(on bool) uint64 {
		if on {
			return 1
		}
		return 0
	}
	unigram := t.model == kindUnigram
	kind := uint64(2) // BPE
	if unigram {
		kind = 1
	}
	bytes := !unigram
	for i, text := range t.texts {
		kind := t.kind(i)
		if kind == tokenUnused && !unigram {
			kind = tokenUser // reserved tokens, which a text may spell out
		}
		if kind == tokenUser {
			// llama.cpp writes the spaces of these tokens out, SentencePiece does not.
			text = strings.ReplaceAll(text, " ", "\u2581")
		}
		bytes = bytes || kind == tokenByte
		var p []byte
		p = protowire.AppendString(protowire.AppendTag(p, 1, protowire.BytesType), text)
		p = protowire.AppendFixed32(protowire.AppendTag(p, 2, protowire.Fixed32Type), math.Float32bits(float32(t.scores[i])))
		message(1, varint(p, 3, uint64(kind)))
	}
	id := func(name string) uint64 { return uint64(f.id(name)) } // -1 where there is none
	bos, eos := f.ends(t)
	trainer := varint(nil, 3, kind)
	trainer = varint(trainer, 35, bit(bytes)) // bytes for what has no piece
	trainer = varint(trainer, 40, id("unknown"))
	trainer = varint(trainer, 41, uint64(bos))
	message(2, varint(trainer, 42, id("eos")))
	var normal []byte
	if charsmap := f.charsmap(); len(charsmap) > 0 {
		normal = protowire.AppendBytes(protowire.AppendTag(normal, 2, protowire.BytesType), charsmap)
	}
	normal = varint(normal, 3, bit(f.flag("add_space_prefix", !unigram)))
	normal = varint(normal, 4, bit(f.flag("remove_extra_whitespaces", false)))
	message(3, varint(normal, 5, 1))
	message(hf.LlamaField, varint(varint(nil, 1, uint64(bos)), 2, uint64(eos)))
	return out
}

// charsmap is the normalization table of a Unigram tokenizer.
func (f *File) charsmap() []byte {
	var out []byte
	switch v := f.Metadata["tokenizer.ggml.precompiled_charsmap"].(type) {
	case []uint64:
		for _, x := range v {
			out = append(out, byte(x))
		}
	case []int64:
		for _, x := range v {
			out = append(out, byte(x))
		}
	}
	return out
}

// ends are the ids of the tokens put before and after a text, -1 for none, by what the
// metadata say and, where they do not, by the kind's usage.
func (f *File) ends(t tokens) (bos, eos int) {
	bos, eos = -1, -1
	if f.flag("add_bos_token", t.model == kindSentencePiece || t.model == kindWordPiece || t.pre.bos) {
		bos = f.id("bos")
	}
	if f.flag("add_eos_token", t.model == kindUnigram) {
		eos = f.id("eos")
	}
	return bos, eos
}

// AddsBOS reports whether texts begin with BOS.
func (f *File) AddsBOS() bool {
	t, err := f.tokens()
	if err != nil {
		return false
	}
	bos, _ := f.ends(t)
	return bos >= 0
}

type object = map[string]any

// vocab gives the tokens of text their ids, and lists those that are found in a text as
// it stands.
func (t tokens) vocab(spell func(text string, kind int64) string) (vocab map[string]int, added []object, err error) {
	vocab, added = make(map[string]int, len(t.texts)), []object{}
	for i, text := range t.texts {
		k := t.kind(i)
		if k == tokenControl || k == tokenUser || k == tokenUnknown {
			added = append(added, object{"id": i, "content": text, "special": k != tokenUser, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})
		}
		if spell != nil {
			text = spell(text, k)
		}
		if _, twice := vocab[text]; twice {
			return nil, nil, fmt.Errorf("token %d (%q) is there twice", i, t.texts[i])
		}
		vocab[text] = i
	}
	return vocab, added, nil
}

// template is the post-processor that puts tokens before and after a text; nil for none.
func (t tokens) template(before, after int) any {
	tokens := object{}
	around := func(items ...any) []any {
		var out []any
		for _, it := range items {
			switch v := it.(type) {
			case int:
				if v >= 0 {
					text := t.texts[v]
					tokens[text] = object{"id": text, "ids": []int{v}, "tokens": []string{text}}
					out = append(out, object{"SpecialToken": object{"id": text, "type_id": 0}})
				}
			case string:
				out = append(out, object{"Sequence": object{"id": v, "type_id": 0}})
			}
		}
		return out
	}
	single, pair := around(before, "A", after), around(before, "A", after, before, "B", after)
	if len(tokens) == 0 {
		return nil
	}
	return object{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}
}

// byteLevel writes the tokenizer.json of merges over bytes.
func (f *File) byteLevel(t tokens) ([]byte, error) {
	vocab, added, err := t.vocab(nil)
	if err != nil {
		return nil, err
	}
	for _, a := range added {
		delete(vocab, a["content"].(string))
	}
	merges := make([][]string, len(t.merges))
	for i, m := range t.merges {
		left, right, ok := strings.Cut(m, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return nil, fmt.Errorf("merge %d is %q, two tokens are needed", i, m)
		}
		merges[i] = []string{left, right}
	}
	bytes := object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}
	var steps []object
	for _, re := range t.pre.splits {
		steps = append(steps, object{"type": "Split", "pattern": object{"Regex": re}, "behavior": "Isolated", "invert": false})
	}
	file := object{
		"version": "1.0", "added_tokens": added, "normalizer": nil,
		"pre_tokenizer":  object{"type": "Sequence", "pretokenizers": append(steps, bytes)},
		"decoder":        bytes,
		"post_processor": t.template(f.ends(t)),
		"model":          object{"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": false, "ignore_merges": t.pre.ignoreMerges},
	}
	if t.pre.nfc {
		file["normalizer"] = object{"type": "NFC"}
	}
	return json.Marshal(file)
}

// wordPiece writes the tokenizer.json of a WordPiece vocabulary. In the metadata a word's
// first piece begins with U+2581 and its others with nothing; in the file these begin
// with ##.
func (f *File) wordPiece(t tokens) ([]byte, error) {
	vocab, added, err := t.vocab(func(text string, kind int64) string {
		if kind == tokenControl || kind == tokenUnknown || kind == tokenUser {
			return text
		}
		if first, ok := strings.CutPrefix(text, "\u2581"); ok {
			return first
		}
		return "##" + text
	})
	if err != nil {
		return nil, err
	}
	before, after := f.ends(t)
	if f.flag("add_sep_token", true) {
		after = f.id("seperator") // so spelled in the format
	}
	lower := f.flag("normalizer.lowercase", true)
	return json.Marshal(object{
		"version": "1.0", "added_tokens": added,
		"normalizer": object{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
			"lowercase": lower, "strip_accents": f.flag("normalizer.strip_accents", lower)},
		"pre_tokenizer":  object{"type": "BertPreTokenizer"},
		"decoder":        object{"type": "WordPiece", "prefix": "##", "cleanup": true},
		"post_processor": t.template(before, after),
		"model": object{"type": "WordPiece", "vocab": vocab, "unk_token": t.texts[f.id("unknown")],
			"continuing_subword_prefix": "##", "max_input_chars_per_word": math.MaxInt32},
	})
}

// Special is the text of a special token by its name in the metadata (bos, eos, eot,
// padding, unknown); "" where there is none.
func (f *File) Special(name string) string {
	texts, _ := f.Metadata["tokenizer.ggml.tokens"].([]string)
	if i := f.id(name); i >= 0 && i < len(texts) {
		return texts[i]
	}
	return ""
}

// SpareControl is the first control token that is not among those in use, which can serve
// as padding; "" where there is none.
func (f *File) SpareControl(used []string) string {
	texts, _ := f.Metadata["tokenizer.ggml.tokens"].([]string)
	kinds, _ := f.Metadata["tokenizer.ggml.token_type"].([]int64)
	for i, text := range texts {
		if i < len(kinds) && kinds[i] == tokenControl && text != "" && !slices.Contains(used, text) {
			return text
		}
	}
	return ""
}
