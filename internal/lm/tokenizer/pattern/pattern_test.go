package pattern

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// used are expressions of published tokenizers.
var used = map[string]string{
	"gpt2":   `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
	"llama3": `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	"tekken": `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	"o200k":  `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	"digits": `\d{1,3}(?=(?:\d{3})*\b)|x`,
	"ranges": `[A-Za-z\u00e0-\u00ff]+|[!-/]|\x41\x{42}|.`,
	"spaces": ` {2,}|a(b|bc)c|a*ab|(?=b)b+|[^a]?+c`,
}

func matches(t *testing.T, p *Pattern, text string) []string {
	t.Helper()
	var out []string
	if err := p.Each(text, func(start, end int) { out = append(out, text[start:end]) }); err != nil {
		t.Fatalf("%s on %q: %v", p, text, err)
	}
	return out
}

func reference(t *testing.T, src, text string) []string {
	t.Helper()
	// The possessive repeat is spelled as an atomic group there.
	src = strings.ReplaceAll(src, "[^a]?+c", "(?>[^a]?)c")
	re, err := regexp2.Compile(strings.ReplaceAll(src, `\x{42}`, `\x42`), regexp2.Unicode)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	m, err := re.FindStringMatch(text)
	for ; m != nil && err == nil; m, err = re.FindNextMatch(m) {
		if m.Length > 0 {
			out = append(out, m.String())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEqualsGeneralEngine compares the tables with regexp2 on random texts.
func TestEqualsGeneralEngine(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	alphabet := []rune("aaabbbccABzZ019 \t\n\r  ''sSlLrRevd.,!/-\u00e9\u00c9\u4f60\u0301\u0660\u00a0\u2028\U0001F600\u01c5\u02b0x")
	fast := 0
	for name, src := range used {
		p, err := Compile(src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.Fast() {
			fast++
		}
		for range 400 {
			var b strings.Builder
			for range r.IntN(30) {
				for range 1 + r.IntN(2)*r.IntN(5) {
					b.WriteRune(alphabet[r.IntN(len(alphabet))])
				}
			}
			text := b.String()
			got, want := matches(t, p, text), reference(t, src, text)
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Fatalf("%s on %q:\n got %q\nwant %q", name, text, got, want)
			}
		}
	}
	if fast != len(used)-1 {
		t.Errorf("%d of %d expressions run on tables, want all but digits", fast, len(used))
	}
}

func TestFold(t *testing.T) {
	p, err := Compile(`(?i:'s)`)
	if err != nil {
		t.Fatal(err)
	}
	// The long s is an s in another case.
	if got := matches(t, p, "'s 'S '\u017f 't"); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

func TestCompileErrors(t *testing.T) {
	for _, src := range []string{
		"(", ")", "a)", "[", "[]", `\`, "*", "a|*", `\p{Nothing}`, `\p{L`, "[z-a]", "[a[b]]", "[a&&b]", `\x{110000}`,
		`\xzz`, "\xff", strings.Repeat("(", 60) + strings.Repeat(")", 60),
	} {
		if _, err := Compile(src); err == nil {
			t.Errorf("%q compiles", src)
		}
	}
}

func TestBacktrackingIsBounded(t *testing.T) {
	p, err := Compile(strings.Repeat("a*", 30) + "b")
	if err != nil {
		t.Fatal(err)
	}
	if !p.Fast() {
		t.Fatal("not on tables")
	}
	if err := p.Each(strings.Repeat("a", 200), func(int, int) {}); err == nil {
		t.Error("no error")
	}
}

// The general engine has a limit for one search, and all searches of a text have one, too.
func TestSlowSearchesAreBounded(t *testing.T) {
	p, err := Compile(`(?:a|ad?)+(?<=c)|x`)
	if err != nil {
		t.Fatal(err)
	}
	if p.Fast() {
		t.Fatal("on tables")
	}
	p.slow.MatchTimeout = 100 * time.Millisecond
	if err := p.Each(strings.Repeat("a", 200)+"b", func(int, int) {}); err == nil {
		t.Error("one search: no error")
	}
	p.slow.MatchTimeout = 20 * time.Millisecond
	err = p.Each(strings.Repeat("x", 50), func(int, int) { time.Sleep(2 * time.Millisecond) })
	if err == nil || !strings.Contains(err.Error(), "for a text of 50 bytes") {
		t.Errorf("all searches: %v", err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, src := range used {
		f.Add(src, "Ann's 12  caf\u00e9\n x")
	}
	f.Add(`(?:(a+)+)+b(?<=x)`, strings.Repeat("a", 60))
	f.Add(`(?<n>(?:x*)*)\k<n>{9,}(?!y)`, strings.Repeat("x", 60))
	f.Fuzz(func(t *testing.T, src, text string) {
		if len(src) > 1000 || len(text) > 200 {
			return
		}
		begun := time.Now()
		alloctest.Within(t, len(src)+len(text), 100_000, 64<<20, func() {
			p, err := Compile(src)
			if err != nil {
				return
			}
			if !p.Fast() {
				p.slow.MatchTimeout = 50 * time.Millisecond
			}
			last := 0
			_ = p.Each(text, func(start, end int) {
				if start < last || end <= start || end > len(text) {
					t.Fatalf("%q on %q: match %d-%d behind %d", src, text, start, end, last)
				}
				last = end
			})
		})
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("%q takes %s", src, d)
		}
	})
}
