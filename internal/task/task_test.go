package task

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		p, ok := Preset(name)
		if !ok {
			t.Errorf("%s has no file", name)
		}
		again, err := Parse(p.JSON())
		if err != nil || string(again.JSON()) != string(p.JSON()) {
			t.Errorf("%s: %v, read back as %s, was %s", name, err, again.JSON(), p.JSON())
		}
	}
}

// TestOneMorePreset adds a preset by a file and nothing else.
func TestOneMorePreset(t *testing.T) {
	fsys := fstest.MapFS{"presets/ninth.yaml": {Data: []byte("answer: label\nlabels: {a: [x], b: []}\nfields: {gold: kind}\n")}}
	all, err := read(fsys)
	if p := all["ninth"]; err != nil || len(all) != 1 || p.Answer != Label || p.Fields["gold"] != "kind" || p.Labels["a"][0] != "x" {
		t.Errorf("%+v, %v", all, err)
	}
	for text, want := range map[string]string{
		"answer: label":             "preset ninth: labels must name at least two labels",
		"answer: text\ncolour: red": `preset ninth: json: unknown field "colour"`,
		"answer: [":                 "preset ninth: ",
	} {
		fsys["presets/ninth.yaml"].Data = []byte(text)
		if _, err := read(fsys); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name, carried string
		choices       int
		want          Kind
	}{
		{"gsm8k", "", 4, Number}, {"table_mwp", "", 0, Number}, {"table_mwp", "", 2, Choice},
		{"mine", "", 0, Math}, {"mine", "", 2, Choice}, {"gsm8k", `{"answer":"text"}`, 0, Text},
	} {
		got, err := Of(c.name, []byte(c.carried), c.choices)
		if err != nil || got.KindOf(c.choices) != c.want {
			t.Errorf("%s %s: %s, %v, want %s", c.name, c.carried, got.KindOf(c.choices), err, c.want)
		}
	}
	if _, err := Of("x", []byte(`{"answr":"text"}`), 0); err == nil {
		t.Error("an unknown field passes")
	}
}

func TestValidate(t *testing.T) {
	for text, want := range map[string]string{
		`{"answer":"labels"}`: `answer "labels" is not one of number, math`,
		`{}`:                  `answer "" is not one of`,
		`{"answer":"label"}`:  "labels must name at least two labels",
		`{"answer":"label","labels":{"a":["x"],"b":["X"]}}`:                    `labels.b has the name "X", and so has a`,
		`{"answer":"label","labels":{"card_arrival":[],"b":["Card-Arrival"]}}`: `labels.card_arrival has the name "card_arrival", and so has b`,
		`{"answer":"label","labels":{"a":[" "],"b":[]}}`:                       "labels.a must not be empty",
		`{"answer":"number","labels":{"a":[],"b":[]}}`:                         "labels is for answers of the kind label, and these are number",
		`{"answer":"choice","f1":0.5}`:                                         "f1 is for answers of the kind text",
		`{"answer":"choice","without_choices":"text","f1":0.5}`:                "",
		`{"answer":"label","labels":{"a":["x"],"b":[]}}`:                       "",
		`{"answer":"text","case_sensitive":true,"f1":0.8,"fields":{}}`:         "",
	} {
		_, err := Parse([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
