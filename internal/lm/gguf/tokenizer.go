package gguf

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
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

// splits are the expressions that byte-level tokenizers cut a text with before their
// merges, by llama.cpp's name for them (tokenizer.ggml.pre).
var splits = map[string]string{
	"llama-bpe": `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	"qwen2":     `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
}

type tokens struct {
	texts  []string
	scores []float64
	kinds  []int64
	merges []string
}

func (t tokens) kind(i int) int64 {
	if t.kinds == nil {
		return tokenNormal
	}
	return t.kinds[i]
}

// Tokenizer writes the tokenizer in the metadata as a file of a Hugging Face folder:
// tokenizer.model (SentencePiece) or tokenizer.json, by its name. A kind that is not
// known is an error.
func (f *File) Tokenizer() (name string, data []byte, err error) {
	const key = "tokenizer.ggml."
	kind, _ := f.Metadata[key+"model"].(string)
	var t tokens
	t.texts, _ = f.Metadata[key+"tokens"].([]string)
	t.scores, _ = f.Metadata[key+"scores"].([]float64)
	t.kinds, _ = f.Metadata[key+"token_type"].([]int64)
	t.merges, _ = f.Metadata[key+"merges"].([]string)
	fail := func(format string, args ...any) (string, []byte, error) {
		return "", nil, fmt.Errorf("%s: tokenizer: %s; put a tokenizer.json beside the file", f.Path, fmt.Sprintf(format, args...))
	}
	if len(t.texts) == 0 {
		return fail("the metadata hold no tokens")
	}
	if t.kinds != nil && len(t.kinds) != len(t.texts) || t.scores != nil && len(t.scores) != len(t.texts) {
		return fail("%d tokens with %d scores and %d kinds", len(t.texts), len(t.scores), len(t.kinds))
	}
	switch kind {
	case "llama":
		if t.scores == nil {
			return fail("tokens without scores")
		}
		return "tokenizer.model", f.sentencePiece(t), nil
	case "gpt2":
		pre, _ := f.Metadata[key+"pre"].(string)
		split, ok := splits[pre]
		if !ok {
			return fail("it cuts texts as %q does, which is not known", pre)
		}
		if len(t.merges) == 0 {
			return fail("no merges")
		}
		data, err := f.byteLevel(t, split)
		if err != nil {
			return fail("%v", err)
		}
		return "tokenizer.json", data, nil
	}
	return fail("kind %q is not supported", kind)
}

// id reads a token id of the metadata; -1 where it is absent or no id.
func (f *File) id(name string) int {
	v, ok := f.Metadata["tokenizer.ggml."+name+"_token_id"].(uint64)
	if !ok || v > math.MaxInt32 {
		return -1
	}
	return int(v)
}

func (f *File) flag(name string, def bool) bool {
	if v, ok := f.Metadata["tokenizer.ggml."+name].(bool); ok {
		return v
	}
	return def
}

// sentencePiece writes the protocol buffer of a BPE model: pieces (field 1), trainer
// (2) and normalizer settings (3).
func (f *File) sentencePiece(t tokens) []byte {
	var out []byte
	varint := func(b []byte, num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
	}
	for i, text := range t.texts {
		kind := t.kind(i)
		if kind == tokenUnused {
			kind = tokenUser // reserved tokens, which a text may spell out
		}
		if kind == tokenUser {
			// llama.cpp writes the spaces of these tokens out, SentencePiece does not.
			text = strings.ReplaceAll(text, " ", "\u2581")
		}
		var p []byte
		p = protowire.AppendString(protowire.AppendTag(p, 1, protowire.BytesType), text)
		p = protowire.AppendFixed32(protowire.AppendTag(p, 2, protowire.Fixed32Type), math.Float32bits(float32(t.scores[i])))
		p = varint(p, 3, uint64(kind))
		out = protowire.AppendBytes(protowire.AppendTag(out, 1, protowire.BytesType), p)
	}
	unset := uint64(math.MaxUint64) // -1
	id := func(name string) uint64 {
		if n := f.id(name); n >= 0 {
			return uint64(n)
		}
		return unset
	}
	bos := unset
	if f.flag("add_bos_token", true) {
		bos = id("bos")
	}
	var trainer []byte
	const bpe = 2
	trainer = varint(trainer, 3, bpe)
	trainer = varint(trainer, 35, 1) // bytes for what has no piece
	trainer = varint(trainer, 40, id("unknown"))
	trainer = varint(trainer, 41, bos)
	trainer = varint(trainer, 42, id("eos"))
	out = protowire.AppendBytes(protowire.AppendTag(out, 2, protowire.BytesType), trainer)
	var normal []byte
	prefix := uint64(0)
	if f.flag("add_space_prefix", true) {
		prefix = 1
	}
	normal = varint(normal, 3, prefix)
	normal = varint(normal, 4, 0) // runs of spaces are kept
	normal = varint(normal, 5, 1)
	return protowire.AppendBytes(protowire.AppendTag(out, 3, protowire.BytesType), normal)
}

// byteLevel writes a tokenizer.json.
func (f *File) byteLevel(t tokens, split string) ([]byte, error) {
	type object = map[string]any
	vocab := make(map[string]int, len(t.texts))
	added := []object{}
	for i, text := range t.texts {
		if _, twice := vocab[text]; twice {
			return nil, fmt.Errorf("token %d (%q) is there twice", i, text)
		}
		vocab[text] = i
		if k := t.kind(i); k == tokenControl || k == tokenUser || k == tokenUnknown {
			added = append(added, object{"id": i, "content": text, "special": k != tokenUser, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})
		}
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
	file := object{
		"version": "1.0", "added_tokens": added, "normalizer": nil,
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{
			{"type": "Split", "pattern": object{"Regex": split}, "behavior": "Isolated", "invert": false}, bytes,
		}},
		"decoder":        bytes,
		"post_processor": nil,
		"model":          object{"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": false, "ignore_merges": f.Metadata["tokenizer.ggml.pre"] == "llama-bpe"},
	}
	if bos := f.id("bos"); bos >= 0 && bos < len(t.texts) && f.flag("add_bos_token", false) {
		text := t.texts[bos]
		first, second := object{"SpecialToken": object{"id": text, "type_id": 0}}, object{"Sequence": object{"id": "A", "type_id": 0}}
		file["post_processor"] = object{
			"type": "TemplateProcessing", "single": []object{first, second},
			"pair":           []object{first, second, {"SpecialToken": object{"id": text, "type_id": 1}}, {"Sequence": object{"id": "B", "type_id": 1}}},
			"special_tokens": object{text: object{"id": text, "ids": []int{bos}, "tokens": []string{text}}},
		}
	}
	if f.Metadata["tokenizer.ggml.pre"] == "qwen2" {
		file["normalizer"] = object{"type": "NFC"}
	}
	return json.Marshal(file)
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
