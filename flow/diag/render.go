package diag

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/mattn/go-runewidth"
)

const (
	tabStop  = 4   // screen columns of a tab in a snippet
	maxWidth = 120 // screen columns of a snippet line; longer lines are cut around the caret
)

// Sources holds the contents of files, so that diagnostics can show the line
// they speak of. It is safe for use by several goroutines; the zero value is
// ready, and a nil *Sources holds nothing.
type Sources struct {
	mu    sync.RWMutex
	files map[string]*source
}

type source struct {
	text string
	once sync.Once
	line []int // byte offsets of line starts, built at the first look
}

// Add stores the contents of a file under the name that positions use.
func (s *Sources) Add(file string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[string]*source{}
	}
	s.files[file] = &source{text: string(content)}
}

// Text gives the contents of a file.
func (s *Sources) Text(file string) (string, bool) {
	if f := s.get(file); f != nil {
		return f.text, true
	}
	return "", false
}

func (s *Sources) get(file string) *source {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.files[file]
}

// Line gives line n (from 1) of a file without its line end.
func (s *Sources) Line(file string, n int) (string, bool) {
	start, ok := s.Offset(file, n)
	if !ok {
		return "", false
	}
	text, _ := s.Text(file)
	line := text[start:]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	line = strings.TrimSuffix(line, "\r")
	if n == 1 {
		line = strings.TrimPrefix(line, "\ufeff") // parsers do not count the byte order mark
	}
	return line, true
}

// Offset gives the byte offset at which line n (from 1) of a file starts.
func (s *Sources) Offset(file string, n int) (int, bool) {
	f := s.get(file)
	if f == nil || n < 1 {
		return 0, false
	}
	f.once.Do(func() {
		f.line = []int{0}
		for i := 0; i < len(f.text); i++ {
			if f.text[i] == '\n' {
				f.line = append(f.line, i+1)
			}
		}
	})
	if n > len(f.line) {
		return 0, false
	}
	return f.line[n-1], true
}

// Render writes every diagnostic of l, sorted by position, with snippets from
// src, a blank line between them.
func (l List) Render(w io.Writer, src *Sources) error {
	sorted := append(List(nil), l...)
	sorted.Sort()
	for i, d := range sorted {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, d.Render(src)); err != nil {
			return err
		}
	}
	return nil
}

// Render gives the diagnostic as text:
//
//	gsm8k.yaml:12:11: error: unknown key "form" [unknown-key]
//	   12 |     form: problems
//	      |     ^^^^
//	  help: did you mean "from"?
//
// Without the file in src the snippet is left out. Tabs are shown as 4 columns,
// wide runes as 2, control characters as U+FFFD; an overlong line is cut.
func (d Diagnostic) Render(src *Sources) string {
	var b strings.Builder
	b.WriteString(d.Error())
	b.WriteByte('\n')
	snippet(&b, src, d.Span)
	for _, r := range d.Related {
		fmt.Fprintf(&b, "  note: %s: %s\n", r.Span.Start, r.Message)
		snippet(&b, src, r.Span)
	}
	if d.Suggestion != "" {
		fmt.Fprintf(&b, "  help: did you mean %q?\n", d.Suggestion)
	}
	for _, line := range textLines(d.Help) {
		fmt.Fprintf(&b, "  help: %s\n", line)
	}
	switch {
	case d.MoreLegs == 1:
		fmt.Fprintf(&b, "  note: this is %s; another leg is wrong here, too\n", d.Leg.Name)
	case d.MoreLegs > 1:
		fmt.Fprintf(&b, "  note: this is %s; %d more legs are wrong here, too\n", d.Leg.Name, d.MoreLegs)
	}
	return b.String()
}

func textLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(s, "\n"), "\n")
}

func snippet(b *strings.Builder, src *Sources, span Span) {
	line, ok := src.Line(span.Start.File, span.Start.Line)
	if !ok {
		return
	}
	shown, from, width := layout(line, span.Start.Col, span.Width())
	number := fmt.Sprintf("%d", span.Start.Line)
	fmt.Fprintf(b, "%5s | %s\n", number, shown)
	if span.Start.Col < 1 {
		return
	}
	fmt.Fprintf(b, "%s | %s%s\n", strings.Repeat(" ", max(5, len(number))), strings.Repeat(" ", from), strings.Repeat("^", width))
}

// layout turns a source line into screen text and gives the screen column
// (from 0) and width of the runes [col, col+n). A position behind the end of
// the line is shown right behind the last rune.
func layout(line string, col, n int) (shown string, from, width int) {
	type cell struct {
		text  string
		width int
	}
	var cells []cell
	var screen int
	for _, r := range line {
		var c cell
		switch {
		case r == '\t':
			w := tabStop - screen%tabStop
			c = cell{strings.Repeat(" ", w), w}
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r):
			c = cell{"\ufffd", 1} // terminal escapes and text-direction tricks must not reach the screen
		default:
			c = cell{string(r), runewidth.RuneWidth(r)}
		}
		cells = append(cells, c)
		screen += c.width
	}
	first := min(max(col-1, 0), len(cells))
	last := min(first+max(n, 1), len(cells))
	sum := func(cs []cell) (w int) {
		for _, c := range cs {
			w += c.width
		}
		return w
	}
	lo, hi := 0, len(cells)
	prefix, suffix := "", ""
	if screen > maxWidth {
		for lo < first && sum(cells[lo:first]) > maxWidth/2 {
			lo++
		}
		hi = lo
		for w := 0; hi < len(cells) && w+cells[hi].width <= maxWidth; hi++ {
			w += cells[hi].width
		}
		if lo > 0 {
			prefix = "..."
		}
		if hi < len(cells) {
			suffix = "..."
		}
	}
	var text strings.Builder
	text.WriteString(prefix)
	for _, c := range cells[lo:hi] {
		text.WriteString(c.text)
	}
	text.WriteString(suffix)
	from = len(prefix) + sum(cells[lo:first])
	width = max(1, sum(cells[first:min(last, max(hi, first))]))
	return text.String(), from, width
}
