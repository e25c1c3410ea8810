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

var (
	gsmNames = []struct{ name, pronoun string }{
		{"Mia", "she"}, {"Leo", "he"}, {"Ana", "she"}, {"Sam", "he"},
	}
	gsmThings = []string{"pens", "cards", "shells", "stamps"}

	// First steps. %s name, %d a, %s things, %d b.
	gsmFirstAdd = []string{"%s has %d %s and buys %d.", "%s has %d %s and finds %d."}
	gsmFirstSub = []string{"%s has %d %s and loses %d.", "%s has %d %s and sells %d."}
	// Second steps. %s pronoun, %d c.
	gsmThenAdd = []string{"Then %s gets %d.", "Then %s wins %d."}
	gsmThenSub = []string{"Then %s gives away %d.", "Then %s drops %d."}
	// The second number stands in the text as a number, so that it can be copied.
	gsmThenMul = []string{"Then %s makes it %d times as many."}
)

const (
	gsmMin, gsmMax = 2, 9 // the numbers of a question
	gsmTestShare   = 5    // one in so many number combinations belongs to the test split
)

// gsmSplit says which split a combination of numbers belongs to. Order does not
// matter: if 2, 5, 9 is a test combination, no training question has these three
// numbers in any order or with any operations.
func gsmSplit(a, b, c int) string {
	n := []int{a, b, c}
	slices.Sort(n)
	h := fnv.New32a()
	fmt.Fprint(h, "gsm8k ", n)
	if h.Sum32()%gsmTestShare == 0 {
		return Test
	}
	return Train
}

// GSM8K returns up to n problems of a split, always the same ones. Each is a story
// of two steps over numbers below ten. The splits share neither a question nor a
// combination of numbers; single facts such as 4 + 3 = 7 occur in both, as they
// must: the sample students are small, and what they are asked to generalise is
// which fact to use.
func GSM8K(split string, n int) []GSM8KProblem {
	h := fnv.New64a()
	fmt.Fprint(h, "gsm8k ", split)
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	seen := map[string]bool{}
	var out []GSM8KProblem
	// The space of questions is far larger than any n in use; the bound only keeps
	// a careless call from running for ever.
	for tries := 0; len(out) < n && tries < 200*n+10000; tries++ {
		p, ok := gsmDraw(rng, split)
		if !ok || seen[p.Question] {
			continue
		}
		seen[p.Question] = true
		p.ID = fmt.Sprintf("gsm8k-%s-%04d", split, len(out)+1)
		out = append(out, p)
	}
	return out
}

// gsmDraw draws one problem; ok is false when its numbers belong to the other
// split or lead below zero.
func gsmDraw(rng *rand.Rand, split string) (p GSM8KProblem, ok bool) {
	num := func() int { return gsmMin + rng.IntN(gsmMax-gsmMin+1) }
	pick := func(s []string) string { return s[rng.IntN(len(s))] }
	a, b, c := num(), num(), num()
	who := gsmNames[rng.IntN(len(gsmNames))]
	thing := pick(gsmThings)

	first, op1, mid := pick(gsmFirstAdd), "+", a+b
	if rng.IntN(2) == 0 {
		first, op1, mid = pick(gsmFirstSub), "-", a-b
	}
	var then, op2 string
	var end int
	switch rng.IntN(5) {
	case 0, 1:
		then, op2, end = pick(gsmThenAdd), "+", mid+c
	case 2, 3:
		then, op2, end = pick(gsmThenSub), "-", mid-c
	default:
		c = 2 + rng.IntN(2)
		then, op2, end = pick(gsmThenMul), "*", mid*c
	}
	if mid < 1 || end < 1 || gsmSplit(a, b, c) != split {
		return p, false
	}
	p.Question = fmt.Sprintf(first, who.name, a, thing, b) + " " + fmt.Sprintf(then, who.pronoun, c) + " How many now?"
	p.Answer = fmt.Sprint(end)
	p.Solution = fmt.Sprintf("%d %s %d = %d. %d %s %d = %d. #### %d", a, op1, b, mid, mid, op2, c, end, end)
	return p, true
}
