package pretrained

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// LoadTokenizer reads the model's tokenizer: from the file beside it or, where there is
// none, out of the metadata of a GGUF file.
func (m *Model) LoadTokenizer() (*hf.Tokenizer, error) {
	if m.Tokenizer != "" {
		return hf.Load(m.Tokenizer)
	}
	g, ok := m.src.(*ggufSource)
	if !ok {
		return nil, fmt.Errorf("%s: there is neither %s", m.Dir, strings.Join(tokenizerFiles, " nor "))
	}
	name, data, err := g.gg.Tokenizer()
	if err != nil {
		return nil, err
	}
	parse := hf.Parse
	if strings.HasSuffix(name, ".model") {
		parse = hf.ParseSentencePiece
	}
	tok, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", g.gg.Path, err)
	}
	return tok, nil
}

// Template is the model's chat template: from the files beside it or, where there are
// none, out of the metadata of a GGUF file; without one, the plain format.
func (m *Model) Template() (*chat.Template, error) {
	g, ok := m.src.(*ggufSource)
	isChat := func(f string) bool {
		return filepath.Base(f) == chat.ConfigFile || filepath.Base(f) == chat.TemplateFile
	}
	if !ok || slices.ContainsFunc(m.Files, isChat) {
		return chat.Load(m.Dir)
	}
	t := chat.Tokens{BOS: g.gg.Special("bos"), EOS: g.gg.Special("eos"), Pad: g.gg.Special("padding"), Unk: g.gg.Special("unknown")}
	if t.Pad == t.EOS {
		t.Pad = "" // a model trained so never learns to stop
	}
	for _, s := range []string{t.BOS, t.EOS, t.Pad, t.Unk, g.gg.Special("eot")} {
		if s != "" && !slices.Contains(t.All, s) {
			t.All = append(t.All, s)
		}
	}
	source, _ := g.gg.Metadata["tokenizer.chat_template"].(string)
	if source == "" {
		return chat.Plain(t), nil
	}
	tmpl, err := chat.Parse(source, t)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer.chat_template: %w", g.gg.Path, err)
	}
	return tmpl, nil
}
