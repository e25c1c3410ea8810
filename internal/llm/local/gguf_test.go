package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm/local/localtest"
)

// A GGUF file alone answers as the folder of the same model does.
func TestGGUFAlone(t *testing.T) {
	dir := localtest.Folder(t)
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	// The format has no windows for this architecture.
	config := strings.NewReplacer(`"use_sliding_window": true`, `"use_sliding_window": false`, `"sliding_attention"`, `"full_attention"`).Replace(string(b))
	localtest.Put(t, dir, "config.json", config)
	file := localtest.GGUF(t, nil)
	m := &Models{}
	folder, alone := client(t, m, dir), client(t, m, file)
	for _, prompt := range []string{"hello", "abcxyz", "a</s>b"} {
		req := request(prompt)
		req.MaxTokens = 12
		want, got := complete(t, folder, req), complete(t, alone, req)
		if got.Text != want.Text || got.Usage != want.Usage || got.Text == "" {
			t.Errorf("%s: %q %+v, the folder says %q %+v", prompt, got.Text, got.Usage, want.Text, want.Usage)
		}
	}
	// The template in the metadata is used, with its tokens.
	template := client(t, m, localtest.GGUF(t, map[string]any{"tokenizer.chat_template": "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}A{{ eos_token }}{% endif %}"}))
	if got := complete(t, template, request("hello")); got.Usage.PromptTokens != len("hello")+3 {
		t.Errorf("the prompt has %d tokens", got.Usage.PromptTokens)
	}
	// A base model gets BOS where its metadata say so.
	without := client(t, m, localtest.GGUF(t, map[string]any{"tokenizer.ggml.add_bos_token": false}))
	if got := complete(t, without, request("hello")); got.Usage.PromptTokens != len("hello")+1 {
		t.Errorf("without BOS, the prompt has %d tokens", got.Usage.PromptTokens)
	}
	// A folder that is named comes first.
	want := complete(t, folder, request("hello"))
	if got := complete(t, client(t, m, template.ref.Model+"?tokenizer="+dir), request("hello")); got.Usage != want.Usage || got.Text != want.Text {
		t.Errorf("with a tokenizer's folder: %q %+v, want %q %+v", got.Text, got.Usage, want.Text, want.Usage)
	}
}

// What a model of this disk lacks is told when its files are listed, not when it is first
// asked.
func TestFilesTellWhatIsMissing(t *testing.T) {
	key := func(name string) string { return "tokenizer.ggml." + name }
	bare := localtest.Folder(t)
	if err := os.Remove(filepath.Join(bare, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	for want, ref := range map[string]string{
		"there are no tokens":                                 localtest.GGUF(t, map[string]any{key("tokens"): nil}),
		`kind "rwkv" is not supported`:                        localtest.GGUF(t, map[string]any{key("model"): "rwkv"}),
		`pre-tokenizer "kimi-k2" is not`:                      localtest.GGUF(t, map[string]any{key("model"): "gpt2", key("pre"): "kimi-k2"}),
		"no eos_token_id is named":                            localtest.GGUF(t, map[string]any{key("model"): "gpt2", key("merges"): []string{"a b"}, key("eos_token_id"): nil}),
		"tokenizer.chat_template":                             localtest.GGUF(t, map[string]any{"tokenizer.chat_template": "{% for"}),
		"there is neither tokenizer.json nor tokenizer.model": bare,
		"tokenizer " + filepath.Dir(bare) + ": there is":      localtest.GGUF(t, nil) + "?tokenizer=" + filepath.Dir(bare),
	} {
		r, err := ParseRef(ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Files(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
