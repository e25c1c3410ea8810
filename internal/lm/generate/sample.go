package generate

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/vector"
)

// sampler draws the tokens of one row.
type sampler struct {
	o    Options
	rng  *rand.Rand
	p    []float32 // scratch: what each token weighs
	best []int32   // scratch: a heap of tokens
}

// newSampler starts the draws of the prompt at a place of the list.
func newSampler(o Options, place int) *sampler {
	if o.Seeds != nil {
		return &sampler{o: o, rng: rand.New(rand.NewPCG(o.Seeds[place], 0))}
	}
	return &sampler{o: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(place)))}
}

// draw picks a token by its log-probabilities [V] under temperature, top-k and
// top-p, in this order, as Hugging Face applies them. A number that is not finite
// counts as impossible.
func (s *sampler) draw(logp []float32) int32 {
	n := len(logp)
	if s.p == nil {
		s.p = make([]float32, n)
	}
	top, _ := vector.Max(logp)
	var sum float64
	for i, v := range logp {
		w := vector.Exp(float32(float64(v-top) / s.o.Temperature))
		if w != w {
			w = 0
		}
		s.p[i] = w
		sum += float64(w)
	}
	nucleus := s.o.TopP > 0 && s.o.TopP < 1
	switch k := s.o.TopK; {
	case k > 0 && k < n:
		order := s.most(logp, k)
		sum = 0
		for _, i := range order {
			sum += float64(s.p[i])
		}
		if nucleus {
			order, sum, _ = s.reach(order, sum)
		}
		return s.among(order, sum)
	case nucleus:
		// Few tokens reach TopP as a rule: sorting all of a large vocabulary takes longer
		// than the model.
		for k := 64; ; k *= 8 {
			order := s.most(logp, min(k, n))
			if order, reached, ok := s.reach(order, sum); ok || k >= n {
				return s.among(order, reached)
			}
		}
	}
	u := s.rng.Float64() * sum
	for i, w := range s.p {
		if u -= float64(w); u < 0 {
			return int32(i)
		}
	}
	return s.most(logp, 1)[0]
}

// reach cuts order where its weights reach TopP of sum, and returns what they come to.
func (s *sampler) reach(order []int32, sum float64) ([]int32, float64, bool) {
	var reached float64
	for k, i := range order {
		if reached += float64(s.p[i]); reached >= s.o.TopP*sum {
			return order[:k+1], reached, true
		}
	}
	return order, reached, false
}

// among draws one of order, whose weights come to sum.
func (s *sampler) among(order []int32, sum float64) int32 {
	u := s.rng.Float64() * sum
	for _, i := range order {
		if u -= float64(s.p[i]); u < 0 {
			return i
		}
	}
	return order[0]
}

// most lists the k most probable tokens, the most probable first, equal ones by place. It
// keeps the best so far in a heap whose root is the worst of them.
func (s *sampler) most(logp []float32, k int) []int32 {
	before := func(a, b int32) int { // negative when a stands before b
		return cmp.Or(cmp.Compare(logp[b], logp[a]), cmp.Compare(a, b))
	}
	h := s.best[:0]
	down := func(i int) {
		for {
			c := 2*i + 1
			if c >= len(h) {
				return
			}
			if c+1 < len(h) && before(h[c], h[c+1]) < 0 {
				c++
			}
			if before(h[i], h[c]) >= 0 {
				return
			}
			h[i], h[c] = h[c], h[i]
			i = c
		}
	}
	for i := range logp {
		if len(h) < k {
			if h = append(h, int32(i)); len(h) == k {
				for j := k/2 - 1; j >= 0; j-- {
					down(j)
				}
			}
		} else if v := logp[h[0]]; logp[i] > v || v != v && logp[i] == logp[i] {
			h[0] = int32(i)
			down(0)
		}
	}
	slices.SortFunc(h, before)
	s.best = h
	return h
}

// stopped returns the first stop string that the text of ids holds, or "".
func (o Options) stopped(ids []int32) string {
	if len(o.Stop) == 0 {
		return ""
	}
	// A stop string that was not there one token ago ends in the last few tokens: with
	// tokens of at least half a byte, these hold it whole.
	longest := 0
	for _, s := range o.Stop {
		longest = max(longest, len(s))
	}
	text := o.Decode(ids[max(0, len(ids)-2*longest-8):])
	for _, s := range o.Stop {
		if s != "" && strings.Contains(text, s) {
			return s
		}
	}
	return ""
}
