package lines

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

func TestOf(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"a\n\nb", `"a" 2, "" 1, "b" 1 cut`},
		{"a\n" + long + "\nb\n", `"a" 2, long 100001, "b" 2`},
		{long, "long 100000 cut"},
		{long[:70_000] + "\n" + "c\r\n", `70000 70001, "c\r" 3`},
		{strings.Repeat("y", 79_999) + "\n", "79999 80000"},
		{strings.Repeat("y", 80_000) + "\n", "long 80001"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			var got []string
			for l, err := range Of(r, 80_000) {
				if err != nil {
					t.Fatal(err)
				}
				s := fmt.Sprintf("%q %d", l.Text, l.Size)
				if len(l.Text) > 10 {
					s = fmt.Sprintf("%d %d", len(l.Text), l.Size)
				}
				if l.Long {
					s = fmt.Sprintf("long %d", l.Size)
				}
				if l.Cut {
					s += " cut"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("%.20q: got %s, want %s", c.in, s, c.want)
			}
		}
	}
	broken := errors.New("broken")
	for _, err := range Of(io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken)), 10) {
		if !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	for l := range Of(strings.NewReader("a\nb\n"), 10) {
		if string(l.Text) != "a" {
			t.Errorf("%q after the end", l.Text)
		}
		break
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestALineWithoutEndTakesNoMemory(t *testing.T) {
	alloctest.Within(t, 0, 0, 2<<20, func() {
		for l := range Of(io.LimitReader(zeros{}, 64<<20), 1<<16) {
			if !l.Long || l.Text != nil {
				t.Errorf("%+v", l)
			}
		}
	})
}
