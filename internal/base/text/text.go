// Package text prints sizes, counts and messages from elsewhere for people.
package text

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Size is a number of bytes in powers of 1024: "1.2 MiB".
func Size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 1024 && unit < 4 {
		f, unit = f/1024, unit+1
	}
	if f >= 1023.95 && unit < 4 { // would read 1024.0
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[unit])
}

// Plural is a count with its noun: "1 blob", "2 blobs", "3 entries", "4 batches".
func Plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	case strings.HasSuffix(noun, "ch") || strings.HasSuffix(noun, "s"):
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// OneLine makes text safe for one line of a terminal: escape sequences and line
// breaks in it cannot move the cursor, nor marks turn its direction. White space, control
// characters and such marks become single spaces.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\ufffd"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
}

// FirstLine is the first line of s that has something on it, as [OneLine] gives it.
func FirstLine(s string) string {
	for line := range strings.Lines(s) {
		if t := OneLine(line); t != "" {
			return t
		}
	}
	return ""
}

// JSON gives the same JSON with what a terminal may act on as escapes: control
// characters, and marks that turn the direction of text. Both stand in strings only.
func JSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, `\ufffd`...)
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out
}

// Lines makes text of several lines safe for a terminal: what a terminal may act on, but for
// line feeds and tabs, stands as in JSON.
func Lines(s string) string {
	calm := func(r rune) bool {
		return r == '\n' || r == '\t' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r)
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsFunc(s, func(r rune) bool { return !calm(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if calm(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Screen writes to a terminal what [Lines] makes of it.
func Screen(w io.Writer) io.Writer { return &screen{w: w} }

type screen struct {
	mu   sync.Mutex
	w    io.Writer
	rest []byte // the begin of a character whose end has not come
}

// Write implements [io.Writer].
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := append(s.rest, p...)
	whole := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				whole -= i
			}
			break
		}
	}
	s.rest = bytes.Clone(b[whole:])
	if _, err := io.WriteString(s.w, Lines(string(b[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ShellWord quotes a word where a shell would not take it as it is.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("._-/:,+@", r) || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(OneLine(s), "'", `'\''`) + "'"
}

// Duration prints seconds with one decimal below ten, whole ones above, then minutes
// and hours.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0 s"
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 1000*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return "weeks"
}
