package data

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/schema"
)

const sourceRow = `{"answer": 3, "text": "4", "A": "a", "B": "b", "question text": "spaced", "it-em": "dashed", "x.y": "dotted",
	"Height (cm)": "called", "a - b": "minus", "list": [{"k": "v"}, {"k": "w"}], "blank": " ", "null": null, "Ann's": "quoted", "a?": "asked"}`

func TestSources(t *testing.T) {
	root := gjson.Parse(sourceRow)
	for src, want := range map[string]string{
		"answer":                           `3`,
		" answer ":                         `3`,
		"question text":                    `"spaced"`,
		"it-em":                            `"dashed"`,
		"x.y":                              `"dotted"`,
		"Ann's":                            `"quoted"`,
		"a?":                               `"asked"`,
		"a - b":                            `"minus"`, // a field of that name goes first
		`$env["Height (cm)"]`:              `"called"`,
		"list[0].k":                        `"v"`,
		"list.-1.k":                        `"w"`,
		"list[-1].k":                       `"w"`,
		"list[7].k":                        ``,
		"nowhere":                          ``,
		"nowhere in sight":                 ``,
		"blank ?? answer":                  `3`,
		"null ?? blank":                    `" "`, // the first that is there, where none says something
		"null":                             `null`,
		"answer - 1":                       `2`,
		"int(text) - 1 ?? answer":          `3`,
		"int(nowhere) - 1 ?? answer - 2":   `1`, // nothing that it uses is there
		"int(nowhere ?? 7) - 1":            ``,
		"int(text ?? (nowhere ?? 7)) - 1":  `3`,
		"[A, B]":                           `["a","b"]`,
		"[A, C]":                           `["a",null]`,
		"[C, D]":                           ``,
		`"x" ?? answer`:                    `"x"`,
		`"a ?? b" + text`:                  `"a ?? b4"`,
		`{label: A, text: B}`:              `{"label":"a","text":"b"}`,
		`A contains 'a'`:                   `true`,
		`answer > 2 ? "yes" : "no"`:        `"yes"`,
		`map(filter(list, .k != "v"), .k)`: `["w"]`,
		"-answer":                          `-3`,
		"nowhere?.x ?? A + B":              `"ab"`,
		`text + "<&>"`:                     `"4<&>"`,
		"it's (a ?? answer":                `3`,
		"Ann's ?? [A, B":                   `error`,
	} {
		sources, err := parseSources(src)
		if err != nil {
			if want != "error" {
				t.Errorf("%s: %v", src, err)
			}
			continue
		}
		got, _, err := (fieldMap{"f": sources}).take(root, "f", nil)
		if err != nil || got.Raw != want {
			t.Errorf("%s gives %s (%v), want %s", src, got.Raw, err, want)
		}
	}
}

func TestSourceErrors(t *testing.T) {
	for src, want := range map[string]string{
		"":               `"" is not a place in a row`,
		" ?? a":          `"" is not a place in a row`,
		"answer ?? ":     `"" is not a place in a row`,
		"itn(x)":         `column 1 of the expression: there is no function "itn" here; did you mean "int"?`,
		"Height (cm)":    ``,
		"Answer(s)":      `a field of that name is $env["Answer(s)"]`,
		"a ?? itn(x)":    `a field of that name is $env["itn(x)"]); ?? stands between`,
		"a[x":            `the expression ends too early`,
		"[A, B":          `the expression ends too early`,
		"answer - ":      ``,
		"answer - * 2":   `column 10 of the expression`,
		"keys($env)":     `$env stands for single fields only`,
		"x ? y ?? z : w": `unless it is in brackets`,
	} {
		if _, err := parseSources(src); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
	root := gjson.Parse(sourceRow)
	for src, want := range map[string]string{
		"text - 1":      `field "f" (from "text - 1"): column 6 of the expression`,
		"answer / 0":    `does it divide by zero?`,
		"answer + gone": `a value is missing`,
	} {
		sources, err := parseSources(src)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := (fieldMap{"f": sources}).take(root, "f", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}

// FuzzSources: any text is a mapping or an error, and what it gives is JSON.
func FuzzSources(f *testing.F) {
	for _, s := range []string{"a", "a.b[0]", "a[-1] ?? b", "[A, B]", "answer - 1 ?? int(text)", `"x ?? y"`, "Ann's ?? (b", "a ?? ", `{a: b}`, "`\\` ?? a", "list[0].k"} {
		f.Add(s)
	}
	root := gjson.Parse(sourceRow)
	f.Fuzz(func(t *testing.T, text string) {
		sources, err := parseSources(text)
		if err != nil {
			return
		}
		v, _, err := (fieldMap{"f": sources}).take(root, "f", nil)
		if err == nil && v.Exists() && schema.CheckJSON([]byte(v.Raw)) != nil {
			t.Errorf("%q gives %s", text, v.Raw)
		}
	})
}
