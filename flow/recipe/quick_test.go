package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/diag"
)

func newReader(file string) *yamlReader {
	return &yamlReader{file: file, baseDir: "d", sources: &diag.Sources{}, diags: &diag.List{}}
}

// dump writes a value tree with all that other code can see of it.
func dump(b *strings.Builder, v *Value) {
	fmt.Fprintf(b, "%s@%s(%q %v %v %v style %d)", v.Kind, v.Pos, v.Str, v.Bool, v.Int, v.Float, v.style)
	for _, it := range v.Items {
		b.WriteString("\n- ")
		dump(b, it)
	}
	for _, e := range v.Entries {
		fmt.Fprintf(b, "\n%q@%s: ", e.Key, e.KeyPos)
		dump(b, e.Val)
	}
}

// readBoth reads a text by the YAML reader alone and by the quick way. quick is
// "" where that gave up.
func readBoth(src string) (slow, quick string, slowDiags diag.List) {
	var b strings.Builder
	y := &yamlReader{file: "f", baseDir: "d", sources: &diag.Sources{}, diags: &slowDiags}
	if len(src) < chunkedFrom {
		if v := y.read([]byte(src), DefaultMaxBytes); v != nil {
			dump(&b, v)
		}
	}
	slow = b.String()
	b.Reset()
	var quickDiags diag.List
	q := &yamlReader{file: "f", baseDir: "d", sources: &diag.Sources{}, diags: &quickDiags}
	q.sources.Add("f", []byte(src))
	if !q.checkText([]byte(src)) {
		return slow, "", slowDiags
	}
	if v := q.quick(fileChunk{text: src, col: 1}); v != nil {
		dump(&b, v)
		if q.values != y.values {
			fmt.Fprintf(&b, "\n%d values, not %d", q.values, y.values)
		}
		for _, d := range quickDiags {
			fmt.Fprintf(&b, "\n%v", d)
		}
	}
	return slow, b.String(), slowDiags
}

// quickCases are texts that the quick reader takes (true) or leaves to the YAML
// reader.
var quickCases = map[string]bool{
	"a: b":                                   true,
	"a: {b: 1, c: [x, 2.5, true, null, ~x]}": false, // ~
	"a: {b: 1, c: [x, 2.5, true, null]}\n":   true,
	"# head\na:\n  b: x y  z # end\n\n  # c\n  d: 'q' \nz: \"w\"   # c": true,
	"a: {}\nb: []\nc: {x: 1,}\nd: [1, 2, ]":                             true,
	"n: [0, 1, -7, 007, 1_0]":                                           false,
	"n: [0, 12, -7, 0x1F, 1e5, 1.5, 0o17, 1_0]":                         true,
	"n: [yes, no, on, off, y, n, True, FALSE, Null, NaN, nUll]":         true,
	"n: [.5, .inf, .nan, .NaN, ., ..]":                                  true,
	"d: [2024-01-02, 12:30:45, 1:2]":                                    true,
	"u: hf://openai/gsm8k#train":                                        true,
	"u: [hf://openai/gsm8k#train, a:b, a:1]":                            true,
	"e: \"${{ params.a }} {x}\"\nf: '$$ \"'":                            true,
	"e: ${{ params.a }}":                                                false,
	"a: b: c":                                                           false,
	"a: [b: c]":                                                         false,
	"a:\n- x":                                                           false,
	"a:\n  - x":                                                         false,
	"a: x\n  y":                                                         false,
	"a:\nb: 1":                                                          false,
	"a: &x 1":                                                           false,
	"a: !!str 1":                                                        false,
	"a: |\n  x":                                                         false,
	"a: \"x\\n\"":                                                       false,
	"a: 'it''s'":                                                        false,
	"a: \"x\n  y\"":                                                     false,
	"a: {b: 1,\n  c: 2}":                                                false,
	"a: 1\na: 2":                                                        false,
	"a: 1\n b: 2":                                                       false,
	"a:\n  b: 1\n c: 2":                                                 false,
	"<<: {a: 1}":                                                        false,
	"é: 1":                                                              false,
	"a: é":                                                              false,
	"a: {b}":                                                            false,
	"a: {b:1}":                                                          false,
	"a: {b: , c: 1}":                                                    false,
	"a: [,]":                                                            false,
	"a: [1 2":                                                           false,
	"a: x #c\nb: x#c\nc: [x#c]":                                         true,
	"a: [x #c]":                                                         false,
	"a: {b: 1}#c":                                                       false,
	"a: 1\r\nb: 2":                                                      false,
	"a:\t1":                                                             false,
	"a: -":                                                              false,
	"a: -x":                                                             false,
	"a: ?x":                                                             false,
	"a: 99999999999999999999":                                           false,
	"a: \"x\"y":                                                         false,
	"a: [\"x\"y]":                                                       false,
	"a: ---\nb: a-b--c":                                                 false,
	"null: 1\ntrue: 2\n1: 3":                                            true,
	"a: x!y&z*w|v":                                                      false,
	"a: x!y&z*w^v()=~;<>%@+":                                            true,
	"":                                                                  false,
	"# c\n":                                                             false,
	"x":                                                                 false,
	"  a: 1":                                                            false,
	"a: {b: {c: {d: [[[1]]]}}}\n":                                       true,
}

// TestQuick: where the quick reader does not give up, it reads what the YAML
// reader reads.
func TestQuick(t *testing.T) {
	for src, takes := range quickCases {
		slow, quick, diags := readBoth(src)
		if (quick != "") != takes {
			t.Errorf("%q: taken %v", src, quick != "")
		}
		if quick == "" {
			continue
		}
		if diff := cmp.Diff(slow, quick); diff != "" || len(diags) > 0 {
			t.Errorf("%q (-YAML reader +quick):\n%s%v", src, diff, diags)
		}
	}
}

func FuzzQuick(f *testing.F) {
	for src := range quickCases {
		f.Add(src)
	}
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Fuzz(func(t *testing.T, src string) {
		for _, marker := range []string{"---", "...", "%"} { // not handed to the quick reader
			if strings.HasPrefix(src, marker) || strings.Contains(src, "\n"+marker) {
				return
			}
		}
		if len(src) >= chunkedFrom {
			return
		}
		slow, quick, diags := readBoth(src)
		if quick != "" && (slow != quick || len(diags) > 0) {
			t.Errorf("%q: YAML reader\n%s\n%v\nquick\n%s", src, slow, diags, quick)
		}
	})
}
