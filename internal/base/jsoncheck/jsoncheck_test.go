package jsoncheck

import (
	"encoding/json"
	"strings"
	"testing"
)

// A text of brackets is refused, and the process goes on: gjson alone ends it.
func TestDeep(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{`{"a":[1]}`, true}, {`{"a":[1}`, false}, {``, false},
		{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), true},
		{strings.Repeat("[{},", 3000) + "1" + strings.Repeat("]", 3000), true},
		{strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), false},
		{strings.Repeat("[", 64<<20), false},
		{strings.Repeat(`{"a":`, 8<<20), false},
	} {
		if got := ValidString(c.text); got != c.want || Valid([]byte(c.text)) != c.want {
			t.Errorf("%d bytes, %.20q: %v", len(c.text), c.text, got)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x\n",null,1e5]}`, `[1,]`, `"\ud800"`, " [ ] ", "01", strings.Repeat("[", 1001) + "1" + strings.Repeat("]", 1001)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := Valid(b); got != json.Valid(b) || got != ValidString(string(b)) {
			t.Errorf("%q: %v, encoding/json says %v", b, got, json.Valid(b))
		}
	})
}
