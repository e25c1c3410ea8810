// Package encoder turns a text into one vector for the router to read.
//
// The default is [Hashed]: every word and every pair of neighbouring words is
// hashed to a fixed random direction, and the directions are averaged. That is a
// random projection of the text's bag of words and bigrams, which keeps distances
// between texts (Johnson and Lindenstrauss 1984; feature hashing, Weinberger et
// al. 2009), so whatever a linear model could tell from the words it can still
// tell. It is frozen, as the pretrained encoder of the method is: the router's
// own layers learn, on features that do not move under them, and a text is
// encoded once for the whole training. A small encoder trained jointly would see
// only the router's weak signal and cost as much as a student.
//
// [Sentence] is a pretrained one: a BERT (MiniLM) or RoBERTa checkpoint of Hugging
// Face, averaged over tokens, with the numbers that transformers gives.
package encoder

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"unicode"
)

// Encoder maps texts to vectors of Dim numbers. Implementations are frozen: the
// same text always gives the same vector.
type Encoder interface {
	Dim() int
	Encode(texts []string) ([][]float32, error)
	// Name identifies encoder and settings, for cache keys and logs.
	Name() string
}

// Hashed is the mean-pooled random-feature encoder.
type Hashed struct {
	dim  int
	seed uint64
}

// NewHashed returns an encoder of dim numbers whose directions follow from seed.
func NewHashed(dim int, seed uint64) (*Hashed, error) {
	if dim < 1 {
		return nil, fmt.Errorf("encoder width %d: must be positive", dim)
	}
	return &Hashed{dim, seed}, nil
}

// Dim implements [Encoder].
func (h *Hashed) Dim() int { return h.dim }

// Name implements [Encoder].
func (h *Hashed) Name() string { return fmt.Sprintf("hashed-%d", h.dim) }

// Encode implements [Encoder]. A text of any length is pooled whole. Vectors have
// length 1, except that of a text without words, which is zero.
func (h *Hashed) Encode(texts []string) ([][]float32, error) {
	seen := map[string][]float32{}
	out := make([][]float32, len(texts))
	for i, t := range texts {
		sum := make([]float64, h.dim)
		prev := ""
		for _, w := range words(t) {
			h.add(sum, seen, w)
			h.add(sum, seen, prev+" "+w)
			prev = w
		}
		var norm float64
		for _, v := range sum {
			norm += v * v
		}
		if norm > 0 {
			norm = 1 / math.Sqrt(norm)
		}
		out[i] = make([]float32, h.dim)
		for j, v := range sum {
			out[i][j] = float32(v * norm)
		}
	}
	return out, nil
}

// add adds the direction of feature to sum; seen remembers directions.
func (h *Hashed) add(sum []float64, seen map[string][]float32, feature string) {
	d, ok := seen[feature]
	if !ok {
		hash := fnv.New64a()
		hash.Write([]byte(feature))
		r := rand.New(rand.NewPCG(h.seed, hash.Sum64()))
		d = make([]float32, h.dim)
		for j := range d {
			d[j] = float32(r.NormFloat64())
		}
		seen[feature] = d
	}
	for j, v := range d {
		sum[j] += float64(v)
	}
}

// words cuts text into runs of letters, one placeholder per number, and single
// other characters. Numbers share a placeholder: the router should see the style
// of a path, not its operands.
func words(text string) []string {
	var out []string
	start := -1
	digits := false
	flush := func(end int) {
		if start >= 0 {
			if digits {
				out = append(out, "0")
			} else {
				out = append(out, text[start:end])
			}
			start = -1
		}
	}
	for i, r := range text {
		switch {
		case unicode.IsDigit(r) || unicode.IsLetter(r):
			if start >= 0 && digits != unicode.IsDigit(r) {
				flush(i)
			}
			if start < 0 {
				start, digits = i, unicode.IsDigit(r)
			}
		case r == '\n':
			flush(i)
			out = append(out, "\n")
		case unicode.IsSpace(r):
			flush(i)
		default:
			flush(i)
			out = append(out, string(r))
		}
	}
	flush(len(text))
	return out
}
