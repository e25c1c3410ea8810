package generate

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// sampler draws the tokens of one row.
type sampler struct {
	o     Options
	rng   *rand.Rand
	order []int // scratch
	p     []float64
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
	if s.order == nil {
		s.order, s.p = make([]int, n), make([]float64, n)
	}
	order := s.order[:n]
	for i := range order {
		order[i] = i
	}
	limited := s.o.TopK > 0 && s.o.TopK < n || s.o.TopP > 0 && s.o.TopP < 1
	if limited {
		// Ties by place, so that equal scores cannot change with the sort.
		slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(logp[b], logp[a]), a-b) })
	}
	if s.o.TopK > 0 && s.o.TopK < n {
		order = order[:s.o.TopK]
	}
	top := math.Inf(-1)
	for _, i := range order {
		if v := float64(logp[i]); v > top { // false for a NaN, unlike max
			top = v
		}
	}
	var sum float64
	for k, i := range order {
		s.p[k] = math.Exp((float64(logp[i]) - top) / s.o.Temperature)
		if math.IsNaN(s.p[k]) {
			s.p[k] = 0
		}
		sum += s.p[k]
	}
	if limited && s.o.TopP > 0 && s.o.TopP < 1 {
		var reached float64
		for k := range order {
			if reached += s.p[k]; reached >= s.o.TopP*sum {
				order, sum = order[:k+1], reached
				break
			}
		}
	}
	u := s.rng.Float64() * sum
	for k, i := range order {
		if u -= s.p[k]; u < 0 {
			return int32(i)
		}
	}
	return int32(order[0])
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
