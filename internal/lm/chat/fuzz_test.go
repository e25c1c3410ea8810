package chat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// The files beside a model are read or refused by an error that names one of them.
func FuzzLoad(f *testing.F) {
	f.Add(`{"bos_token":"<s>","eos_token":{"content":"</s>"},"pad_token":"</s>","added_tokens_decoder":{"0":{"content":"<x>","special":true}}}`, `{"unk_token":null}`, "")
	f.Add(`{"chat_template":[{"name":"default","template":"{{ messages }}"}]}`, `[]`, "")
	f.Add(`{"chat_template":7}`, `{"bos_token":{"content":[]}}`, "{{ bos_token }}")
	f.Fuzz(func(t *testing.T, config, tokens, template string) {
		if len(template) > 2000 || len(config) > 4000 {
			t.Skip()
		}
		dir := t.TempDir()
		for name, text := range map[string]string{ConfigFile: config, "special_tokens_map.json": tokens, TemplateFile: template} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		alloctest.Within(t, len(config)+len(tokens)+len(template), 100_000, 256<<20, func() {
			tmpl, err := Load(dir)
			if err != nil {
				if !strings.Contains(err.Error(), dir) {
					t.Errorf("%v does not name the file", err)
				}
				return
			}
			if tmpl.Tokens.Pad != "" && tmpl.Tokens.Pad == tmpl.Tokens.EOS {
				t.Errorf("the padding is EOS: %+v", tmpl.Tokens)
			}
		})
	})
}
