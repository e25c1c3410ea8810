package schema

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A problem that is read can be written, and reads as the same, within bounds of memory.
func FuzzProblem(f *testing.F) {
	for _, s := range []string{
		`{"id":"a","task":"math","question":"1+1?","gold_answer":"2","choices":[{"label":"A","text":"x"}],"paths":[{"style":"cot","prompt":"p","response":"r","pred":"2","correct":true,"span":[0,1],"judge":{"valid":true,"reason":"x"},"scores":{"a":0.5}}],"more":[1,{"a":null}]}`,
		`{"id":1}`, `{"id":"a","id":"b"}`, `{"choices":"[\"x\",\"y\"]"}`, `{"choices":{"label":["A"],"text":["x"]}}`, `{"paths":null,"question":null}`,
		`{"paths":` + strings.Repeat("[", 20_000), "{\"id\":\"\xff\\ud800\"}", `{"paths":[{"span":[9223372036854775808,-1]}]}`, `{"paths":[{"tokens":[1,2],"logprobs":[0.1,1e999]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		alloctest.Within(t, len(line), 200, 1<<20, func() {
			var p, q Problem
			if p.UnmarshalJSON(line) != nil {
				return
			}
			once, err := p.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.UnmarshalJSON(once); err != nil {
				t.Fatalf("%v\n%s", err, once)
			}
			if twice, err := q.AppendJSON(nil); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("unstable (%v):\n%s\n%s", err, once, twice)
			}
		})
	})
}

// A note that is read can be written, and reads as the same.
func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-02T03:04:05Z","id":"a","mark":"right","comment":"c"}`))
	f.Add([]byte(`{"id":"","mark":"x","replicate":-1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var n, again Note
		if json.Unmarshal(line, &n) != nil || n.Check() != nil {
			return
		}
		once, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(once, &again); err != nil || again.Check() != nil || again.Key() != n.Key() {
			t.Fatalf("%s: %v, %v", once, err, again)
		}
	})
}
