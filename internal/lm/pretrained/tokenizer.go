package pretrained

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// LoadTokenizer reads the model's tokenizer: from the folder dir or, where it is "", from
// the file beside the model and, where there is none, out of the metadata of a GGUF file.
func (m *Model) LoadTokenizer(dir string) (*tokenizer.Pretrained, error) {
	if err := m.CheckTokenizer(dir); err != nil {
		return nil, err
	}
	if dir == "" && m.Tokenizer != "" {
		dir = m.Dir
	}
	t, from, err := m.loadTokenizer(dir)
	if err != nil {
		return nil, err
	}
	if n := t.Size(); n > m.Config.Vocab {
		return nil, fmt.Errorf("model %s: vocab_size %d, but the tokenizer of %s has %d ids", m.Ref, m.Config.Vocab, from, n)
	}
	return t, nil
}

func (m *Model) loadTokenizer(dir string) (t *tokenizer.Pretrained, from string, err error) {
	if dir != "" {
		t, err := tokenizer.LoadPretrained(dir)
		return t, dir, err
	}
	f := m.src.(*ggufSource).gg
	name, data, err := f.Tokenizer()
	if err != nil {
		return nil, "", err
	}
	parse := hf.Parse
	if strings.HasSuffix(name, ".model") {
		parse = hf.ParseSentencePiece
	}
	plain, err := parse(data)
	if err == nil {
		special := m.specials()
		t, err = tokenizer.NewPretrained(plain, special.BOS, special.EOS, special.Pad)
		if spare := f.SpareControl(special.All); err != nil && special.Pad == "" && spare != "" {
			t, err = tokenizer.NewPretrained(plain, special.BOS, special.EOS, spare)
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: tokenizer in the metadata: %w", f.Path, err)
	}
	return t, f.Path, nil
}

// CheckTokenizer tells what [Model.LoadTokenizer] and [Model.Template] lack, as far as
// that can be seen without reading a vocabulary.
func (m *Model) CheckTokenizer(dir string) error {
	if dir == "" && m.Tokenizer == "" {
		g, ok := m.src.(*ggufSource)
		if !ok {
			return fmt.Errorf("%s: there is neither %s", m.Dir, strings.Join(tokenizerFiles, " nor "))
		}
		if err := g.gg.CheckTokenizer(); err != nil {
			return err
		}
		if g.gg.Special("eos") == "" {
			return fmt.Errorf("%s: tokenizer in the metadata: no eos_token_id is named: a model needs one to end its answers", g.gg.Path)
		}
	} else if dir != "" && !slices.ContainsFunc(tokenizerFiles, func(name string) bool { return isFile(dir, name) }) {
		return fmt.Errorf("%s: tokenizer %s: there is neither %s", m.Ref, dir, strings.Join(tokenizerFiles, " nor "))
	}
	_, err := m.Template(dir)
	return err
}

func isFile(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular()
}

// Template is the model's chat template: from the files of the tokenizer's folder dir, ""
// for the model's own, or, where there are none, out of the metadata of a GGUF file;
// without one, the plain format.
func (m *Model) Template(dir string) (*chat.Template, error) {
	if dir == "" {
		dir = m.Dir
	}
	g, ok := m.src.(*ggufSource)
	if !ok || isFile(dir, chat.ConfigFile) || isFile(dir, chat.TemplateFile) {
		return chat.Load(dir)
	}
	t := m.specials()
	source, _ := g.gg.Metadata["tokenizer.chat_template"].(string)
	if source == "" {
		if !g.gg.AddsBOS() {
			t.BOS = ""
		}
		return chat.Plain(t), nil
	}
	tmpl, err := chat.Parse(source, t)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer.chat_template: %w", g.gg.Path, err)
	}
	return tmpl, nil
}

// specials are the special tokens in the metadata of a GGUF file.
func (m *Model) specials() chat.Tokens {
	f := m.src.(*ggufSource).gg
	t := chat.Tokens{BOS: f.Special("bos"), EOS: f.Special("eos"), Pad: f.Special("padding"), Unk: f.Special("unknown")}
	if t.Pad == t.EOS {
		t.Pad = "" // a model trained so never learns to stop
	}
	for _, s := range []string{t.BOS, t.EOS, t.Pad, t.Unk, f.Special("eot")} {
		if s != "" && !slices.Contains(t.All, s) {
			t.All = append(t.All, s)
		}
	}
	return t
}
