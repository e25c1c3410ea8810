package local

import "testing"

// A reference that is taken names a model and knows its settings.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"m?adapter=a&precision=bf16", "hf://o/n@main?quantize=nf4", "?", "m?adapter=", "m?%zz", "hf://..", "m?adapter=a&adapter=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		if again, err := ParseRef(s); err != nil || again != r || r.Model == "" {
			t.Errorf("%q: %+v, then %+v, %v", s, r, again, err)
		}
	})
}
