package hf

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchText makes prose-like text: words of a Zipf distribution, numbers,
// punctuation, some accents, and now and then a word never seen before.
func benchText(size int) string {
	r := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("an be co de ex fi gra hi in jo ku la mo nu or pre qui re sta ti un vo wi xy za er ing tion al \u00e9 \u00fc")
	word := func() string {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		return b.String()
	}
	known := make([]string, 20000)
	for i := range known {
		known[i] = word()
	}
	zipf := rand.NewZipf(r, 1.1, 2, uint64(len(known)-1))
	var b strings.Builder
	for b.Len() < size {
		switch x := r.IntN(100); {
		case x < 4:
			fmt.Fprintf(&b, "%d", r.IntN(100000))
		case x < 6:
			b.WriteString(word() + word())
		default:
			b.WriteString(known[zipf.Uint64()])
		}
		switch x := r.IntN(100); {
		case x < 6:
			b.WriteString(". ")
		case x < 12:
			b.WriteString(", ")
		case x < 14:
			b.WriteString(".\n\n")
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// BenchmarkEncode measures the golden tokenizers and, with
// DISTILLFLOW_TOKENIZER_FILES a list of name=path, real ones.
func BenchmarkEncode(b *testing.B) {
	files := map[string]string{}
	for _, name := range []string{"qwen", "llama", "bert", "unigram"} {
		files[name] = filepath.Join("testdata", name+".json")
	}
	for _, spec := range strings.Fields(os.Getenv("DISTILLFLOW_TOKENIZER_FILES")) {
		name, path, _ := strings.Cut(spec, "=")
		files[name] = path
	}
	text := benchText(1 << 20)
	var rows []string
	for rest := text; rest != ""; {
		n := min(len(rest), 2000)
		rows, rest = append(rows, strings.ToValidUTF8(rest[:n], "")), rest[n:]
	}
	for name, path := range files {
		b.Run(name, func(b *testing.B) {
			tok, err := Load(path)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
			tokens := 0
			for b.Loop() {
				tokens = 0
				for _, row := range rows {
					e, err := tok.Encode(row, true)
					if err != nil {
						b.Fatal(err)
					}
					tokens += e.Len()
				}
			}
			b.ReportMetric(float64(len(text))/float64(tokens), "bytes/token")
		})
	}
}
