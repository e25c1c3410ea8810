package schema

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// FuzzCheckJSON holds the quick check against encoding/json.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{
		``, ` `, `{}`, `[]`, `{"a":1}`, `{"a":1,}`, `[1,]`, `{"a" 1}`, `01`, `-`, `-0`, `1.`, `1.e3`, `1e`, `1e+5`, `.5`, `+1`,
		`"\u12G4"`, `"\x"`, `"a` + "\n" + `"`, "\"\x7f\xff\"", `nul`, `null `, `truefalse`, `{"a":1}{"b":2}`, `{"a":1,"a":2}`, `{1:2}`,
		`"unended`, `{"a":"b`, `[[[[]]]`, "\ufeff{}", "\v1", `{,}`, `[,1]`, `tru`, `"\ud800"`, "\x00", strings.Repeat("[", 1500) + strings.Repeat("]", 1500),
		strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if err := CheckJSON(line); (err == nil) != json.Valid(line) {
			t.Errorf("%q: %v, encoding/json says %v", line, err, json.Valid(line))
		}
	})
}

func TestNames(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 18, 40} {
		var names Names
		for i := range n {
			if !names.Add(fmt.Sprint(i)) {
				t.Errorf("%d of %d is said to come again", i, n)
			}
		}
		for i := range n {
			if names.Add(fmt.Sprint(i)) {
				t.Errorf("%d of %d is said to be new", i, n)
			}
		}
	}
}

// FuzzAppendString writes what encoding/json reads back as it was.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\r\t\b\x00\x1f\x7f", "<&>", "é “x” \u2028 😀", "\xff\xfe", "a\xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendString([]byte("x"), s)
		var got string
		if err := json.Unmarshal(b[1:], &got); err != nil || b[0] != 'x' {
			t.Fatalf("%q: %s: %v", s, b, err)
		}
		// Each byte that is no UTF-8 becomes U+FFFD, as in a conversion to runes.
		if want := string([]rune(s)); got != want {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// TestCheckJSONOnBrokenRows breaks rows in small ways, most of which leave them
// close to JSON.
func TestCheckJSONOnBrokenRows(t *testing.T) {
	row := []byte(`{"id":"a","n":-1.5e+3,"s":"\u12aF \\ \"x\" é","l":[1, 2,{"k":null}],"t":true,"f":false,"e":{},"z":0}`)
	r := rand.New(rand.NewPCG(1, 2))
	signs := []byte("{}[]:,\"\\ntfu0129.eE+- \t\x00\x1f\x7f\xff")
	agree := [2]int{}
	for range 30_000 {
		b := slices.Clone(row)
		for range 1 + r.IntN(3) {
			switch i := r.IntN(len(b)); r.IntN(3) {
			case 0:
				b = slices.Delete(b, i, i+1)
			case 1:
				b[i] = signs[r.IntN(len(signs))]
			default:
				b = slices.Insert(b, i, signs[r.IntN(len(signs))])
			}
		}
		valid := json.Valid(b)
		if err := CheckJSON(b); (err == nil) != valid {
			t.Fatalf("%q: %v, encoding/json says %v", b, err, valid)
		}
		agree[map[bool]int{true: 1}[valid]]++
	}
	if agree[0] < 1000 || agree[1] < 1000 {
		t.Errorf("%d broken and %d sound rows", agree[0], agree[1])
	}
}
