package chat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad(t *testing.T) {
	talk := []Message{{User, "x"}}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"in config":      {map[string]string{ConfigFile: `{"bos_token": {"content": "<s>"}, "chat_template": "{{ bos_token }}A"}`}, "<s>A"},
		"named":          {map[string]string{ConfigFile: `{"chat_template": [{"name": "rag", "template": "R"}, {"name": "default", "template": "D"}]}`}, "D"},
		"own file first": {map[string]string{ConfigFile: `{"chat_template": "A"}`, TemplateFile: "B"}, "B"},
		"none":           {map[string]string{ConfigFile: `{"bos_token": "<s>", "pad_token": null}`}, "<s>x\n"},
		"special map":    {map[string]string{"special_tokens_map.json": `{"bos_token": "<b>"}`}, "<b>x\n"},
		"empty":          {nil, "x\n"},
	} {
		tmpl, err := Load(folder(t, c.files))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := tmpl.Render(talk, true); err != nil || got != c.want {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
	}
	for name, files := range map[string]map[string]string{
		"json":   {ConfigFile: "{"},
		"kind":   {ConfigFile: `{"chat_template": 7}`},
		"named":  {ConfigFile: `{"chat_template": [{"name": "x", "template": "y"}]}`},
		"syntax": {TemplateFile: "{% if %}"},
	} {
		if _, err := Load(folder(t, files)); err == nil || !(strings.Contains(err.Error(), ConfigFile) || strings.Contains(err.Error(), TemplateFile)) {
			t.Errorf("%s: error does not name the file: %v", name, err)
		}
	}
}

func TestPadIsNotEOS(t *testing.T) {
	got, err := ReadTokens(folder(t, map[string]string{ConfigFile: `{"eos_token": "</s>", "pad_token": "</s>",
		"added_tokens_decoder": {"2": {"content": "</s>", "special": true}, "5": {"content": "x", "special": false}}}`}))
	if err != nil || got.Pad != "" || got.EOS != "</s>" || len(got.All) != 1 {
		t.Errorf("%+v (%v)", got, err)
	}
}

func TestSave(t *testing.T) {
	tmpl, err := Parse("{{ messages[0].content }}!", Tokens{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tmpl.Save(dir); err != nil {
		t.Fatal(err)
	}
	back, err := Load(dir)
	if err != nil || back.Source != tmpl.Source {
		t.Errorf("%q (%v), want %q", back.Source, err, tmpl.Source)
	}
}
