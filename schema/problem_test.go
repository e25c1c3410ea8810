package schema

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUnknownFieldsKeepOrderAndBytes(t *testing.T) {
	in := `{"zeta": 1.50,"id":"a","task":"t","question":"q","gold_answer":"g","alpha":{"b": [1,  2]},"paths":[{"style":"cot","replicate":0,"later": 7}]}`
	want := `{"id":"a","task":"t","question":"q","gold_answer":"g","zeta":1.50,"alpha":{"b": [1,  2]},"paths":[{"style":"cot","replicate":0,"later":7}]}`
	var p Problem
	if err := json.Unmarshal([]byte(in), &p); err != nil {
		t.Fatal(err)
	}
	got, err := p.AppendJSON(nil)
	if err != nil || string(got) != want {
		t.Fatalf("%v\n got %s\nwant %s", err, got, want)
	}
}

func TestProblemErrors(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"cut off":      {`{"id":"a"`, "not valid JSON: unexpected end of JSON input (column 9)"},
		"stray comma":  {`{"id":"a",}`, "(column 11)"},
		"two values":   {`{} {}`, "(column 4)"},
		"a list":       {`[1]`, "a row must be a JSON object, not a list"},
		"twice":        {`{"id":"a","id":"b"}`, `field "id" occurs twice`},
		"wrong type":   {`{"question":7}`, `field "question" must be a string, not a number`},
		"choices":      {`{"choices":[{"label":"A"}]}`, `"choices"[0] needs a label and a text`},
		"paths":        {`{"paths":{}}`, `"paths" must be a list of objects, not an object`},
		"path":         {`{"paths":[1]}`, `"paths"[0]: a path must be an object, not a number`},
		"path field":   {`{"paths":[{},{"correct":"yes"}]}`, `"paths"[1]: field "correct" must be true or false, not a string`},
		"path twice":   {`{"paths":[{"style":"a","style":"b"}]}`, `"paths"[0]: field "style" occurs twice`},
		"span":         {`{"paths":[{"span":[1]}]}`, `"span" must be [start, end], not a list`},
		"replicate":    {`{"paths":[{"replicate":1.5}]}`, `"replicate" must be a whole number`},
		"judge":        {`{"paths":[{"judge":{}}]}`, `"judge" must be {valid: bool, reason: string}`},
		"deep nesting": {strings.Repeat("[", 1<<20), "exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			var p Problem
			err := p.UnmarshalJSON([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestChoices: every layout that data sets have is read.
func TestChoices(t *testing.T) {
	want := []Choice{{"A", "x"}, {"B", "y"}}
	for _, in := range []string{
		`{"choices":[{"label":"A","text":"x"},{"label":" B","text":"y"}]}`,
		`{"choices":{"label":["A","B"],"text":["x","y"]}}`,
		`{"choices":["x","y"]}`,
		`{"choices":" [\"x\", \"y\"]"}`,
	} {
		var p Problem
		if err := p.UnmarshalJSON([]byte(in)); err != nil || !slices.Equal(p.Choices, want) {
			t.Errorf("%s: %v, %v", in, p.Choices, err)
		}
	}
}

func TestAppendStringAgreesWithJSON(t *testing.T) {
	for _, s := range []string{"", "plain", "q\"b\\n\nr\rt\tb\bf\f\x00\x1f", "<a> & b", "é\u2028 \U0001F600", "bad \xff\xfe utf8 \xe2\x82"} {
		var back string
		enc := AppendString(nil, s)
		if err := json.Unmarshal(enc, &back); err != nil {
			t.Fatalf("%q: %v", enc, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Errorf("%q became %q", s, back)
		}
		if strings.Contains(string(enc), "\\u003c") {
			t.Errorf("%s: < is escaped", enc)
		}
	}
	if got := string(AppendString(nil, "a\xff\xfeb")); got != "\"a\ufffd\ufffdb\"" {
		t.Errorf("invalid bytes became %s", got)
	}
}

func TestFields(t *testing.T) {
	var f Fields
	f.Set("a", []byte("1"))
	f.Set("b", []byte(`"x"`))
	f.Set("a", []byte("2"))
	if len(f) != 2 || string(f.Get("a")) != "2" || f.String("b") != "x" || f.String("a") != "" || f.Get("c") != nil {
		t.Errorf("%v", f)
	}
}
