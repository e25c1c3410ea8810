package recipefmt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{
			"four spaces become two, lists go below their key, comments along",
			"# head\nname:   x   # stays\n\n\n\nstages:\n    # about a\n    a:\n        uses: scan\n        with: {root: x,\n               task: y}\n        tags:\n        - one\n        -   k: 1\n            l: 2\n        # about b\n    # end of a\n    b: {uses: y}   \n\n",
			"# head\nname:   x   # stays\n\nstages:\n  # about a\n  a:\n    uses: scan\n    with: {root: x,\n           task: y}\n    tags:\n      - one\n      - k: 1\n        l: 2\n    # about b\n  # end of a\n  b: {uses: y}\n",
		},
		{
			"anchors, aliases and merges stay",
			"a: &x\n   k: 1\nb:\n   <<: *x\n   'q': \"v\"\n",
			"a: &x\n  k: 1\nb:\n  <<: *x\n  'q': \"v\"\n",
		},
		{
			"the blanks of a block text mean something",
			"a:\n    t: |\n        line  \n\n\n          deeper\n        # no comment\n    u: >-\n        folded\n        text\n",
			"a:\n  t: |\n      line  \n\n\n        deeper\n      # no comment\n  u: >-\n      folded\n      text\n",
		},
		{"CRLF and a missing last newline", "a: 1\r\nb: 2", "a: 1\nb: 2\n"},
		{"nothing but a comment", "\n\n# c\n", "# c\n"},
		{"nothing", "", ""},
		{"non-ASCII", "ä:\n   - ü  \n", "ä:\n  - ü\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Format([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			check(t, []byte(c.in))
		})
	}
}

func TestNoYAML(t *testing.T) {
	out, err := Format([]byte("a: 1\nb: [1,\n"))
	if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "line 3, column 1") {
		t.Errorf("formatted %q, error %v; want a syntax error with its place", out, err)
	}
}

// TestRecipes formats every YAML file of the repository.
func TestRecipes(t *testing.T) {
	files := 0
	for _, pattern := range []string{"recipes/*.yaml", "flow/*/testdata/*.yaml", "flow/*/testdata/*/*.yaml", "cmd/*/testdata/*/*.yaml"} {
		found, err := filepath.Glob(filepath.Join("../../../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parse(src); err == nil {
				files++
				check(t, src)
			}
		}
	}
	if files < 20 {
		t.Errorf("only %d files were found", files)
	}
}

// check formats a text and wants the same meaning, the same comments, and no
// change from a second pass.
func check(t *testing.T, src []byte) {
	t.Helper()
	docs, err := parse(src)
	if err != nil {
		return
	}
	once, err := Format(src)
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	if !same(docs, once) {
		t.Fatalf("another meaning:\n%q\n%q", src, once)
	}
	if a, b := words(src), words(once); !slices.Equal(a, b) {
		t.Fatalf("another text:\n%q\n%q", src, once)
	}
	twice, err := Format(once)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("a second pass changes it (%v):\n%q\n%q", err, once, twice)
	}
}

// words is all of a text but its blanks.
func words(text []byte) []string { return strings.Fields(string(text)) }

func FuzzFormat(f *testing.F) {
	f.Add([]byte("a:\n    - b: 1\n      c: |\n         x\n    - - d\n      - e\n"))
	f.Add([]byte("? a\n: b\n"))
	f.Add([]byte("-\n  a: 1\n-   # c\n  b: \"x\n   y\"\n"))
	f.Add([]byte("--- # c\na: >2\n    x\n...\n---\nb: !!str 1\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) < 1<<12 {
			check(t, src)
		}
	})
}
