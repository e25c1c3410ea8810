package hf

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder turns the texts of tokens into text; decoders in a row pass lists on.
type decoder interface {
	decode(tokens []string) ([]string, error)
}

type decoders []decoder

func (s decoders) decode(tokens []string) ([]string, error) {
	var err error
	for _, d := range s {
		if tokens, err = d.decode(tokens); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// decodeFunc is a decoder that looks at one token at a time.
type decodeFunc func(i int, token string, last bool) string

func (f decodeFunc) decode(tokens []string) ([]string, error) {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = f(i, t, i == len(tokens)-1)
	}
	return out, nil
}

func (n *replacer) decode(tokens []string) ([]string, error) {
	out := make([]string, len(tokens))
	from, all := 0, 0
	for _, t := range tokens {
		from += len(t)
	}
	for i, t := range tokens {
		matches, err := n.matches(t)
		if err != nil {
			return nil, err
		}
		all += replaced(matches, len(n.content))
		if err := grows(from, all); err != nil {
			return nil, err
		}
		var b strings.Builder
		for _, m := range matches {
			if m.hit {
				b.WriteString(n.content)
			} else {
				b.WriteString(t[m.start:m.end])
			}
		}
		out[i] = b.String()
	}
	return out, nil
}

func (m *metaspace) decode(tokens []string) ([]string, error) {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		space := " "
		if i == 0 && m.prepend != "never" {
			space = ""
		}
		out[i] = strings.ReplaceAll(t, m.replacement, space)
	}
	return out, nil
}

// byteLevelDecoder reads the characters of byte-level tokens back to bytes.
type byteLevelDecoder struct{}

func (byteLevelDecoder) decode(tokens []string) ([]string, error) {
	var out []byte
	for _, t := range tokens {
		from := len(out)
		for _, r := range t {
			c, ok := charBytes[r]
			if !ok {
				// An added token is not spelled in byte characters.
				out = append(out[:from], t...)
				break
			}
			out = append(out, c)
		}
	}
	return []string{toUTF8(out)}, nil
}

// toUTF8 replaces what is not UTF-8 by U+FFFD: one for each longest stretch that
// could begin a character (Unicode Standard, 3.9, best practice).
func toUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r != utf8.RuneError || n > 1 {
			out.Write(b[:n])
			b = b[n:]
			continue
		}
		out.WriteRune(utf8.RuneError)
		b = b[badPrefix(b):]
	}
	return out.String()
}

// badPrefix is the length of the longest beginning of a character at the front of
// b, at least 1.
func badPrefix(b []byte) int {
	low, high, n := byte(0x80), byte(0xBF), 0
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		n = 1
	case c >= 0xE0 && c <= 0xEF:
		n = 2
		if c == 0xE0 {
			low = 0xA0
		}
		if c == 0xED {
			high = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		n = 3
		if c == 0xF0 {
			low = 0x90
		}
		if c == 0xF4 {
			high = 0x8F
		}
	}
	i := 1
	for ; i <= n && i < len(b) && b[i] >= low && b[i] <= high; i++ {
		low, high = 0x80, 0xBF
	}
	return i
}

// byteFallback reads runs of byte tokens like <0xE2>.
type byteFallback struct{}

func (byteFallback) decode(tokens []string) ([]string, error) {
	var out []string
	var run []byte
	flush := func() {
		switch {
		case len(run) == 0:
		case utf8.Valid(run):
			out = append(out, string(run))
		default:
			for range run {
				out = append(out, string(utf8.RuneError))
			}
		}
		run = run[:0]
	}
	for _, t := range tokens {
		if c, ok := byteToken(t); ok {
			run = append(run, c)
			continue
		}
		flush()
		out = append(out, t)
	}
	flush()
	return out, nil
}

func byteToken(t string) (byte, bool) {
	if len(t) != 6 || !strings.HasPrefix(t, "<0x") || t[5] != '>' {
		return 0, false
	}
	v, err := strconv.ParseUint(t[3:5], 16, 8)
	return byte(v), err == nil
}

// fuse makes one text of all.
type fuse struct{}

func (fuse) decode(tokens []string) ([]string, error) {
	return []string{strings.Join(tokens, "")}, nil
}

// stripDecoder cuts up to start and stop characters off every token's ends.
type stripDecoder struct {
	content     string
	start, stop int
}

func (s *stripDecoder) decode(tokens []string) ([]string, error) {
	return decodeFunc(func(_ int, t string, _ bool) string {
		for i := 0; i < s.start && strings.HasPrefix(t, s.content); i++ {
			t = t[len(s.content):]
		}
		for i := 0; i < s.stop && strings.HasSuffix(t, s.content); i++ {
			t = t[:len(t)-len(s.content)]
		}
		return t
	}).decode(tokens)
}

// cleaner takes back the spaces that English tokenization puts before
// punctuation and contractions.
var cleaner = []string{
	" .", ".", " ?", "?", " !", "!", " ,", ",", " ' ", "'", " n't", "n't", " 'm", "'m",
	" do not", " don't", " 's", "'s", " 've", "'ve", " 're", "'re",
}

func clean(t string) string {
	for i := 0; i < len(cleaner); i += 2 {
		t = strings.ReplaceAll(t, cleaner[i], cleaner[i+1])
	}
	return t
}

func wordPieceDecoder(prefix string, cleanup bool) decoder {
	return decodeFunc(func(i int, t string, _ bool) string {
		if i > 0 {
			if rest, ok := strings.CutPrefix(t, prefix); ok {
				t = rest
			} else {
				t = " " + t
			}
		}
		if cleanup {
			t = clean(t)
		}
		return t
	})
}

func suffixDecoder(suffix string) decoder {
	return decodeFunc(func(_ int, t string, last bool) string {
		if last {
			return strings.ReplaceAll(t, suffix, "")
		}
		return strings.ReplaceAll(t, suffix, " ")
	})
}

// ctc drops repeats and padding of a speech model's output.
type ctc struct {
	pad, delimiter string
	cleanup        bool
}

func (c *ctc) decode(tokens []string) ([]string, error) {
	var out []string
	for i, t := range tokens {
		if i > 0 && t == tokens[i-1] {
			continue
		}
		if t = strings.ReplaceAll(t, c.pad, ""); c.cleanup {
			t = strings.ReplaceAll(clean(t), c.delimiter, " ")
		}
		if t != "" {
			out = append(out, t)
		}
	}
	return out, nil
}
