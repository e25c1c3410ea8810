package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/distillflow/distillflow/internal/base/paths"
)

// Files beside a model that say how it reads conversations.
const (
	// ConfigFile holds the special tokens, and in older models the template.
	ConfigFile = "tokenizer_config.json"
	// TemplateFile holds the template of newer ones.
	TemplateFile = "chat_template.jinja"
)

// ReadTokens reads the special tokens of a model's folder, from tokenizer_config.json
// and special_tokens_map.json. Without these files it returns none. Padding is never
// EOS: where a file says so, Pad is left empty, because a model trained so never
// learns to stop.
func ReadTokens(dir string) (Tokens, error) {
	t, _, err := readConfig(dir)
	return t, err
}

// Load reads the chat template of a model's folder; a folder without one gets the
// plain format. Errors name the file.
func Load(dir string) (*Template, error) {
	tokens, source, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, TemplateFile)
	switch data, err := paths.ReadFile(path, 1<<30); {
	case err == nil:
		source = string(data)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	default:
		path = filepath.Join(dir, ConfigFile)
	}
	if source == "" {
		return Plain(tokens), nil
	}
	t, err := Parse(source, tokens)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// tokenText is a token as the files write it: its text, or an object with it.
type tokenText string

func (t *tokenText) UnmarshalJSON(data []byte) error {
	var s *string
	if json.Unmarshal(data, &s) == nil {
		if s != nil {
			*t = tokenText(*s)
		}
		return nil
	}
	var o struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	*t = tokenText(o.Content)
	return nil
}

type tokensJSON struct {
	BOS tokenText `json:"bos_token"`
	EOS tokenText `json:"eos_token"`
	Pad tokenText `json:"pad_token"`
	Unk tokenText `json:"unk_token"`
}

func readConfig(dir string) (Tokens, string, error) {
	var t Tokens
	var first, second struct {
		tokensJSON
		Template json.RawMessage `json:"chat_template"`
		Added    map[string]struct {
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens_decoder"`
	}
	if err := readJSON(filepath.Join(dir, ConfigFile), &first); err != nil {
		return t, "", err
	}
	if err := readJSON(filepath.Join(dir, "special_tokens_map.json"), &second); err != nil {
		return t, "", err
	}
	pick := func(a, b tokenText) string {
		if a != "" {
			return string(a)
		}
		return string(b)
	}
	t = Tokens{
		BOS: pick(first.BOS, second.BOS), EOS: pick(first.EOS, second.EOS),
		Pad: pick(first.Pad, second.Pad), Unk: pick(first.Unk, second.Unk),
	}
	if t.Pad == t.EOS {
		t.Pad = ""
	}
	for _, a := range first.Added {
		if a.Special {
			t.All = append(t.All, a.Content)
		}
	}
	slices.Sort(t.All)
	source, err := templateOf(first.Template)
	if err != nil {
		return t, "", fmt.Errorf("%s: chat_template: %w", filepath.Join(dir, ConfigFile), err)
	}
	return t, source, nil
}

// templateOf reads a template, or of several named ones the default.
func templateOf(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &named); err != nil {
		return "", errors.New("must be a text or a list of named ones")
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	return "", errors.New("none of the named templates is the default")
}

func readJSON(path string, v any) error {
	data, err := paths.ReadFile(path, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Save writes a template beside an adapter or a model, as transformers reads it.
// The plain format needs no file.
func (t *Template) Save(dir string) error {
	if t.Source == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, TemplateFile), []byte(t.Source), 0o644)
}
