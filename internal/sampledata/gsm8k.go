package sampledata

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

// GSM8KProblem is one word problem with its worked solution.
type GSM8KProblem struct {
	ID       string
	Question string
	Answer   string // the number alone
	Solution string // steps like "4 + 3 = 7. 7 * 2 = 14. #### 14"
}

// Splits of the sample data.
const (
	Train = "train"
	Test  = "test"
)

// The stories are short, and the numbers small, so that students with some ten
// thousand parameters learn them in a minute on two processor cores: what such a
// student can hold is about a hundred facts like 4 + 3 = 7.
var (
	gsmNames  = []string{"Mia", "Leo", "Ana", "Sam"}
	gsmThings = []string{"pens", "cards", "shells", "stamps"}
	gsmGain   = []string{"buys", "finds", "gets", "wins"}
	gsmLoss   = []string{"loses", "sells", "drops", "breaks"}
)

const (
	gsmMin, gsmMax = 2, 6 // the first two numbers of a question
	gsmMaxThen     = 3    // the third is from 1 to this
	gsmSalt        = 3    // chosen so that every fact of the test split occurs in training
	gsmTestShare   = 4    // about one in so many number combinations is for testing
)

// gsmSplit says which split a combination of numbers belongs to. Order does not
// matter: if 2, 3, 5 is a test combination, no training question has these three
// numbers in any order or with any operations.
func gsmSplit(a, b, c int) string {
	n := []int{a, b, c}
	slices.Sort(n)
	h := fnv.New64a()
	fmt.Fprint(h, "gsm8k ", n)
	// The low bits of FNV keep the parity of the numbers; the generator mixes them.
	if rand.New(rand.NewPCG(h.Sum64(), gsmSalt)).IntN(gsmTestShare) == 0 {
		return Test
	}
	return Train
}

// GSM8K returns up to n problems of a split, always the same ones. Each is a story
// of two steps, sums and differences of small numbers. The splits share neither a
// question nor a combination of numbers; single facts such as 4 + 3 = 7 occur in
// both, as they must: what a student has to generalise is which facts to use.
func GSM8K(split string, n int) []GSM8KProblem {
	h := fnv.New64a()
	fmt.Fprint(h, "gsm8k ", split)
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	seen := map[string]bool{}
	answers := map[string]int{}
	var out []GSM8KProblem
	// The space of questions is far larger than any n in use; the bound only keeps
	// a careless call from running for ever.
	for tries := 0; len(out) < n && tries < 200*n+10000; tries++ {
		p, ok := gsmDraw(rng, split)
		// No answer may be so frequent that always giving it looks like skill.
		if !ok || seen[p.Question] || answers[p.Answer] > 2+len(out)/7 {
			continue
		}
		answers[p.Answer]++
		seen[p.Question] = true
		p.ID = fmt.Sprintf("gsm8k-%s-%04d", split, len(out)+1)
		out = append(out, p)
	}
	return out
}

// gsmDraw draws one problem; ok is false when its numbers belong to the other
// split or lead below one.
func gsmDraw(rng *rand.Rand, split string) (p GSM8KProblem, ok bool) {
	word := func(list []string) string { return list[rng.IntN(len(list))] }
	change := func() (verb, op string, sign int) {
		if rng.IntN(2) == 0 {
			return word(gsmGain), "+", 1
		}
		return word(gsmLoss), "-", -1
	}
	a, b := gsmMin+rng.IntN(gsmMax-gsmMin+1), gsmMin+rng.IntN(gsmMax-gsmMin+1)
	c := 1 + rng.IntN(gsmMaxThen)
	who, thing := word(gsmNames), word(gsmThings)
	verb1, op1, sign1 := change()
	verb2, op2, sign2 := change()
	mid := a + sign1*b
	end := mid + sign2*c
	if mid < 1 || end < 1 || gsmSplit(a, b, c) != split {
		return p, false
	}
	p.Question = fmt.Sprintf("%s has %d %s, %s %d, then %s %d. How many now?", who, a, thing, verb1, b, verb2, c)
	p.Answer = fmt.Sprint(end)
	p.Solution = fmt.Sprintf("%d %s %d = %d. %d %s %d = %d. #### %d", a, op1, b, mid, mid, op2, c, end, end)
	return p, true
}
