package diag

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPosString(t *testing.T) {
	for _, c := range []struct {
		pos  Pos
		want string
	}{
		{Pos{}, ""},
		{Pos{File: "a.yaml"}, "a.yaml"},
		{Pos{File: "a.yaml", Line: 3}, "a.yaml:3"},
		{Pos{File: "a.yaml", Line: 3, Col: 7}, "a.yaml:3:7"},
		{Pos{Line: 3, Col: 7}, "3:7"},
		{Pos{Line: 3}, "3"},
	} {
		if got := c.pos.String(); got != c.want {
			t.Errorf("%#v: %q, want %q", c.pos, got, c.want)
		}
	}
}

func TestRender(t *testing.T) {
	src := &Sources{}
	src.Add("r.yaml", []byte("\ufeffname: x\r\n\tform: a\n日本: 値段 here\nesc: \x1b[31mred\nlast"))
	for _, c := range []struct {
		name string
		d    Diagnostic
		want string
	}{
		{"first line with a byte order mark and CRLF", Errorf(Pos{"r.yaml", 1, 1}, "c", "s").Over(4),
			"r.yaml:1:1: error: s [c]\n    1 | name: x\n      | ^^^^\n"},
		{"tab", Errorf(Pos{"r.yaml", 2, 2}, "unknown-key", "unknown key %q", "form").Over(4).WithSuggestion("form", []string{"with", "from"}),
			"r.yaml:2:2: error: unknown key \"form\" [unknown-key]\n    2 |     form: a\n      |     ^^^^\n  help: did you mean \"from\"?\n"},
		{"wide runes", Errorf(Pos{"r.yaml", 3, 5}, "c", "s").Over(2),
			"r.yaml:3:5: error: s [c]\n    3 | 日本: 値段 here\n      |       ^^^^\n"},
		{"escape sequence", Errorf(Pos{"r.yaml", 4, 11}, "c", "s").Over(3),
			"r.yaml:4:11: error: s [c]\n    4 | esc: \ufffd[31mred\n      |           ^^^\n"},
		{"behind the end of the line", Errorf(Pos{"r.yaml", 5, 9}, "c", "s"),
			"r.yaml:5:9: error: s [c]\n    5 | last\n      |     ^\n"},
		{"line that does not exist", Errorf(Pos{"r.yaml", 9, 1}, "c", "s"), "r.yaml:9:1: error: s [c]\n"},
		{"file that is not held", Errorf(Pos{"q.yaml", 1, 1}, "c", "s"), "q.yaml:1:1: error: s [c]\n"},
		{"no position", Diagnostic{Severity: Warning, Summary: "s"}, "warning: s\n"},
		{"everything", Errorf(Pos{"r.yaml", 1, 1}, "c", "s").WithHelp("do %s", "this").WithRelated(At(Pos{"r.yaml", 5, 1}), "see"),
			"r.yaml:1:1: error: s [c]\n    1 | name: x\n      | ^\n  note: r.yaml:5:1: see\n    5 | last\n      | ^\n  help: do this\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.d.Render(src)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenderCutsLongLines(t *testing.T) {
	src := &Sources{}
	line := strings.Repeat("a", 300) + "BAD" + strings.Repeat("z", 300)
	src.Add("f", []byte(line))
	lines := strings.Split(Errorf(Pos{"f", 1, 301}, "c", "s").Over(3).Render(src), "\n")
	at := strings.Index(lines[2], "^^^")
	if at < 0 || lines[1][at:at+3] != "BAD" {
		t.Errorf("the caret misses its text:\n%s\n%s", lines[1], lines[2])
	}
	if len(lines[1]) > maxWidth+20 {
		t.Errorf("line of %d bytes", len(lines[1]))
	}
}

func TestListErr(t *testing.T) {
	var l List
	if l.Err() != nil || l.HasErrors() {
		t.Error("an empty list is an error")
	}
	l.Add(Diagnostic{Severity: Warning, Summary: "w"})
	if l.Err() != nil {
		t.Error("a warning is an error")
	}
	l.Errorf(Pos{"b", 2, 1}, "c", "second")
	l.Errorf(Pos{"b", 1, 5}, "c", "first")
	l.Errorf(Pos{"b", 1, 5}, "c", "first")
	err := l.Err()
	var back List
	if !errors.As(err, &back) || len(back) != 4 {
		t.Fatalf("lost diagnostics: %v", err)
	}
	if got, want := err.Error(), "warning: w\nb:1:5: error: first [c]\nb:2:1: error: second [c]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := l.Summary(); got != "3 errors, 1 warning" {
		t.Errorf("summary %q", got)
	}
	var out bytes.Buffer
	if err := l.Render(&out, nil); err != nil || strings.Count(out.String(), "first") != 1 {
		t.Errorf("repetition shown, or %v:\n%s", err, out.String())
	}
}

func FuzzRender(f *testing.F) {
	f.Add("a: b\n\tc: 日本", 2, 3, 5)
	f.Add(strings.Repeat("日", 200), 1, 150, 9)
	f.Add("", 0, 0, -1)
	f.Fuzz(func(t *testing.T, text string, line, col, n int) {
		src := &Sources{}
		src.Add("f", []byte(text))
		out := Errorf(Pos{"f", line, col}, "c", "s").Over(min(n, 1000)).Render(src)
		if strings.Contains(out, "\x1b") {
			t.Errorf("an escape reaches the screen: %q", out)
		}
	})
}

// A mistake in a matrix is told once and not once a leg.
func TestLegs(t *testing.T) {
	at := Pos{File: "r.yaml", Line: 3, Col: 5}
	var l List
	add := func(stage string, number int, code, summary string) {
		before := len(l)
		l.Add(Errorf(at, code, "%s", summary))
		if stage != "" {
			l.Of(before, Leg{Stage: stage, Name: fmt.Sprintf("%s[n=%d]", stage, number), Number: number})
		}
	}
	for i, text := range []string{"z is not there", "b is not there", "y is not there"} {
		add("a", i, "config", text)
		add("a", i, "config", "the same in all")
		add("b", 10+i, "config", "the same in all") // a shared place, such as a task
	}
	add("a", 2, "config", "another mistake of the third")
	add("b", 11, "config", "b alone")
	add("", 0, "config", "no leg")
	add("", 0, "config", "no leg either")
	add("a", 1, "edge", "only here")
	for range 2 { // sorted again, it stays
		l.Sort()
		var got []string
		for _, d := range l {
			got = append(got, fmt.Sprintf("%s %s+%d", d.Summary, d.Leg.Name, d.MoreLegs))
		}
		want := []string{"no leg +0", "no leg either +0", "the same in all a[n=0]+2", "z is not there a[n=0]+0", "b alone b[n=11]+0", "only here a[n=1]+0"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	}
	if got := l[2].Render(nil); !strings.Contains(got, "note: this is a[n=0]; 2 more legs are wrong here, too") {
		t.Error(got)
	}
}
