package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// modelFolder holds a small byte-level tokenizer as a model is published.
func modelFolder(t *testing.T, config string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, File), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPretrained(t *testing.T) {
	tok, err := Load(filepath.Join(modelFolder(t, ""), File))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Special{Pad: 0, BOS: 1, EOS: 2}); tok.Special() != want {
		t.Errorf("special %+v, want %+v", tok.Special(), want)
	}
	for _, text := range append(tricky, corpus...) {
		if strings.ToValidUTF8(text, "") != text {
			continue // comes back with U+FFFD
		}
		checkRoundTrip(t, "pretrained", tok, text)
	}
	// Text cannot forge a special token.
	checkRoundTrip(t, "pretrained", tok, "a<eos>b <pad><bos>")
	data, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hf.Parse(data); err != nil {
		t.Errorf("what is saved does not load: %v", err)
	}
}

func TestPretrainedSpecial(t *testing.T) {
	tok, err := LoadPretrained(modelFolder(t, `{"bos_token": null, "eos_token": {"content": "<eos>"}, "pad_token": "<eos>"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Special{Pad: 0, BOS: -1, EOS: 2}); tok.Special() != want {
		t.Errorf("padding that is EOS: %+v, want %+v", tok.Special(), want)
	}
	for name, config := range map[string]string{
		"no such token": `{"eos_token": "<nothing>"}`,
		"no EOS":        `{"eos_token": null}`,
		"broken":        `{`,
	} {
		dir := modelFolder(t, config)
		if _, err := Load(filepath.Join(dir, File)); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: error does not name the file: %v", name, err)
		}
	}
}
