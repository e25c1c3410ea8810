package merge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/gguf"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// tokenizerFiles are copied as they stand, where they are there.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer.model", chat.ConfigFile, chat.TemplateFile, "special_tokens_map.json", "added_tokens.json"}

// companions writes the small files: configuration, tokenizer, chat template.
func (m *merger) companions(dir, adapter string) error {
	config, err := m.configJSON()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, pretrained.ConfigFile), config, 0o644); err != nil {
		return err
	}
	from := m.o.Tokenizer
	if from == "" && m.base.Tokenizer != "" {
		from = m.base.Dir
	}
	var names []string
	if from != "" {
		names = tokenizerFiles
	} else if err := m.ggufTokenizer(dir); err != nil {
		return err
	}
	copied := 0
	for _, name := range names {
		found, err := copyFile(filepath.Join(from, name), filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if found && strings.HasPrefix(name, "tokenizer.") {
			copied++
		}
	}
	if from != "" && copied == 0 {
		return fmt.Errorf("%s holds neither tokenizer.json nor tokenizer.model", from)
	}
	if _, err := copyFile(filepath.Join(m.base.Dir, pretrained.GenerationFile), filepath.Join(dir, pretrained.GenerationFile)); err != nil {
		return err
	}
	_, err = copyFile(filepath.Join(adapter, chat.TemplateFile), filepath.Join(dir, chat.TemplateFile))
	return err
}

// copyFile copies a small file if it is there.
func copyFile(from, to string) (found bool, err error) {
	data, err := paths.ReadFile(from, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(to, data, 0o644)
}

// architectures are transformers' names for the classes, which some programs pick
// the model by.
var architectures = map[decoder.Arch]string{
	decoder.Llama: "LlamaForCausalLM", decoder.Mistral: "MistralForCausalLM",
	decoder.Qwen2: "Qwen2ForCausalLM", decoder.Qwen3: "Qwen3ForCausalLM",
	decoder.Gemma: "GemmaForCausalLM", decoder.Gemma2: "Gemma2ForCausalLM", decoder.Gemma3: "Gemma3ForCausalLM",
}

// dtypeNames are transformers' names for types.
var dtypeNames = map[safetensors.DType]string{safetensors.F32: "float32", safetensors.BF16: "bfloat16", safetensors.F16: "float16"}

// configJSON is the base's config.json, for the weights as they are written: with
// their type and, of a multimodal model, the half that is the language model. Where
// nothing changes the bytes stay.
func (m *merger) configJSON() ([]byte, error) {
	var c map[string]json.RawMessage
	if err := json.Unmarshal(m.base.ConfigJSON, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", m.base.Ref, err)
	}
	changed := false
	set := func(key string, v any) error {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var old bytes.Buffer
		if json.Compact(&old, c[key]) != nil || !bytes.Equal(old.Bytes(), data) {
			c[key], changed = data, true
		}
		return nil
	}
	if text, ok := c["text_config"]; ok {
		outer := c
		c, changed = nil, true
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: text_config: %w", m.base.Ref, err)
		}
		delete(c, "architectures")
		for _, key := range []string{"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "torch_dtype", "dtype", "transformers_version"} {
			if _, has := c[key]; !has && outer[key] != nil {
				c[key] = outer[key]
			}
		}
		if err := set("model_type", m.base.Config.Arch); err != nil {
			return nil, err
		}
	}
	if _, has := c["architectures"]; !has {
		if err := set("architectures", []string{architectures[m.base.Config.Arch]}); err != nil {
			return nil, err
		}
	}
	if _, has := c["eos_token_id"]; !has && len(m.base.EOS) > 0 {
		if err := set("eos_token_id", m.base.EOS); err != nil {
			return nil, err
		}
	}
	// Versions 4 and 5 of transformers have their own key for the type; 5 reads both.
	key := "torch_dtype"
	if _, has := c["dtype"]; has {
		key = "dtype"
	}
	if d := m.dtype(); d != "" && (m.o.DType != "" || c[key] == nil) {
		if err := set(key, dtypeNames[d]); err != nil {
			return nil, err
		}
	}
	if !changed {
		return m.base.ConfigJSON, nil
	}
	data, err := json.MarshalIndent(c, "", "  ")
	return append(data, '\n'), err
}

// ggufTokenizer writes the tokenizer that stands in the metadata of a GGUF file.
func (m *merger) ggufTokenizer(dir string) (err error) {
	i := slices.IndexFunc(m.base.Files, func(f string) bool { return strings.EqualFold(filepath.Ext(f), ".gguf") })
	if i < 0 {
		return fmt.Errorf("%s holds neither tokenizer.json nor tokenizer.model", m.base.Dir)
	}
	f, err := gguf.Open(m.base.Files[i])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name, data, err := f.Tokenizer()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		return err
	}
	t, err := m.base.Template("")
	if err != nil {
		return err
	}
	class := "PreTrainedTokenizerFast"
	if strings.HasSuffix(name, ".model") {
		class = "LlamaTokenizer"
		if strings.HasPrefix(string(m.base.Config.Arch), "gemma") {
			class = "GemmaTokenizer"
		}
	}
	config := map[string]any{"tokenizer_class": class, "clean_up_tokenization_spaces": false}
	for key, text := range map[string]string{"bos_token": t.Tokens.BOS, "eos_token": t.Tokens.EOS, "pad_token": t.Tokens.Pad, "unk_token": t.Tokens.Unk} {
		if text != "" {
			config[key] = text
		}
	}
	for _, key := range []string{"add_bos_token", "add_eos_token"} {
		if v, ok := f.Metadata["tokenizer.ggml."+key].(bool); ok {
			config[key] = v
		}
	}
	if err := writeJSON(filepath.Join(dir, chat.ConfigFile), config); err != nil {
		return err
	}
	return t.Save(dir)
}
