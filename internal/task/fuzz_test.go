package task

import (
	"bytes"
	"testing"
)

// A task that a row carries is written as it is read.
func FuzzParse(f *testing.F) {
	for _, name := range Presets() {
		t, _ := Preset(name)
		f.Add(t.JSON())
	}
	f.Add([]byte(`{"answer":"label","labels":{"a":["b"]},"fields":{}}`))
	f.Add([]byte(`{"answer":"text","f1":1e999}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b)
		if err != nil {
			return
		}
		once := got.JSON()
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		if twice := again.JSON(); !bytes.Equal(once, twice) {
			t.Errorf("unstable:\n%s\n%s", once, twice)
		}
		_, _ = parse(b) // as YAML; must not panic
	})
}
