package text

import (
	"strings"
	"testing"
)

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB",
		1<<20 - 1: "1.0 MiB", 5 << 30: "5.0 GiB", 1 << 62: "4096.0 PiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	for _, c := range []struct {
		n    int
		noun string
		want string
	}{{0, "blob", "0 blobs"}, {1, "entry", "1 entry"}, {2, "entry", "2 entries"}, {3, "batch", "3 batches"}, {2, "address", "2 addresses"}} {
		if got := Plural(c.n, c.noun); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got, want := OneLine(" a\x1b[2J\r\nb\tc\u0085d\u202ee "), "a [2J b c d e"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := OneLine("a\x9b2Jb"), "a\ufffd2Jb"; got != want { // as terminals of one byte a character take it
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := FirstLine("\n \x07\n second\nthird"), "second"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": "\u001b[2J é 训 😀"}`:   `{"a": "\u001b[2J é 训 😀"}`,
		"\"\u009b2J\u007f\x1b[0m\"":  `"\u009b2J\u007f\u001b[0m"`,
		"\"a\u202eb\u2066c\u200fd\"": `"a\u202eb\u2066c\u200fd"`,
		"\"\x9b\"":                   `"\ufffd"`,
	} {
		if got := string(JSON([]byte(in))); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// What others wrote moves no cursor, whatever the parts in which it comes.
func TestScreen(t *testing.T) {
	const in = "a\tb\n\x1b[2J\r\u009b1m é 训 😀\u202e \x9b \x07\n"
	const want = "a\tb\n\\u001b[2J\\u000d\\u009b1m é 训 😀\\u202e \ufffd \\u0007\n"
	if got := Lines(in); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for size := 1; size <= len(in); size++ {
		var b strings.Builder
		w := Screen(&b)
		for rest := in; rest != ""; {
			part := rest[:min(size, len(rest))]
			rest = rest[len(part):]
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if b.String() != want {
			t.Errorf("in parts of %d: got %q, want %q", size, b.String(), want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"": "''", "lab.example:8000": "lab.example:8000", "a b": "'a b'", "a&b": "'a&b'", "it's": `'it'\''s'`} {
		if got := ShellWord(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
