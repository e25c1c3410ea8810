package llm

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// What Python writes for numbers that JSON lacks becomes null, and nothing else changes.
func FuzzValidJSON(f *testing.F) {
	for _, s := range []string{`{"a":NaN,"b":[-Infinity,"NaN"]}`, `"\"NaN"`, `{"a":NaNa}`, `{"a":1}`, strings.Repeat("[", 20_000), `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 50, 1<<20, func() {
			got, ok := ValidJSON(b)
			switch {
			case ok != json.Valid(got):
				t.Errorf("%q gives %q, %v", b, got, ok)
			case json.Valid(b) && !bytes.Equal(got, b):
				t.Errorf("%q was JSON and became %q", b, got)
			}
			if ok {
				ServerError(gjson.ParseBytes(got)) // must not panic
				Compact(got)
			}
		})
	})
}

// An entry of the memo is an answer that can be kept again, or none.
func FuzzDecodeMemo(f *testing.F) {
	good, err := encodeMemo(&Response{Text: "x", FinishReason: FinishStop, Raw: json.RawMessage(`{"a":1}`)}, "r", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"finish_reason":"length","text":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := decodeMemo(b)
		if !ok {
			return
		}
		once, err := encodeMemo(&e.Response, e.Refresh, e.Bought)
		if err != nil {
			t.Fatal(err)
		}
		again, ok := decodeMemo(once)
		if !ok {
			t.Fatalf("own encoding refused: %s", once)
		}
		if twice, _ := encodeMemo(&again.Response, again.Refresh, again.Bought); !bytes.Equal(once, twice) {
			t.Errorf("unstable:\n%s\n%s", once, twice)
		}
	})
}
