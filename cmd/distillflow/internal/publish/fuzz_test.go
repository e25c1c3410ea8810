package publish

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// What a stranger's recipe is called and sets stands in a card as what it is: settings are
// read again from the YAML, and a name is one line that ends neither a front nor a fence.
func FuzzCard(f *testing.F) {
	f.Add("x: y", `{"root": "/srv/proj/data/x.jsonl", "n": 12, "lr": 0.01, "on": true, "none": null, "text": "yes", "many": "a: b\n# c"}`)
	f.Add("---\n# x `y`", `{"a":"---","b":"`+"```"+`","c":[1e400,-0,1e2,18446744073709551615,"0x1f","2020-01-01","~","1_000"]}`)
	f.Add("|\t\u2028", `{"":{"<<":{"a":1},"? x":["\ud800","\u0085","\u0000 \\"]},"\u2029":"\r"}`)
	f.Add("null", `[`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`]`)
	f.Fuzz(func(t *testing.T, name, with string) {
		if !json.Valid([]byte(with)) || len(with) > 1<<12 {
			t.Skip()
		}
		r := &runrecord.Run{Stages: []*runrecord.Stage{{Name: "a", Type: "scan", With: json.RawMessage(with)}}}
		r.RecipeID, r.Resolved.Name = "/srv/proj/r.yaml", name
		alloctest.Within(t, len(with)+len(name), 20_000, 4<<20, func() {
			text, err := recipeYAML(r, r.Stages)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Name   *string
				Stages map[string]struct{ With any }
			}
			if err := yaml.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("%q, %s: %v in\n%s", name, with, err, text)
			}
			var want any
			if err := json.Unmarshal([]byte(with), &want); err == nil {
				a, aerr := json.Marshal(plain(elsewhere("/srv/proj", want)))
				b, berr := json.Marshal(plain(got.Stages["a"].With))
				if aerr == nil && berr == nil && string(a) != string(b) {
					t.Errorf("%s became %s by\n%s", a, b, text)
				}
			}
			if (name != "") != (got.Name != nil) || utf8.ValidString(name) && got.Name != nil && *got.Name != oneLine(name) {
				t.Errorf("%q became %v in\n%s", name, got.Name, text)
			}
		})
		if c := code(name); strings.ContainsAny(c, "\r\n") || strings.Count(c, "`") != 2 {
			t.Errorf("%q is no code on one line", c)
		}
	})
}

// plain gives numbers one type.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plain(x)
		}
	case []any:
		for i, x := range v {
			v[i] = plain(x)
		}
	case float64:
		return v + 0 // -0 is 0
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return v
}
