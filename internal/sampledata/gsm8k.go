package sampledata

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
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

// The stories are short, the words few and the numbers small, so that students with
// some ten thousand parameters can learn them in half a minute of processor time, also
// one that reads letters: of the verbs it has to tell four apart.
var (
	gsmNames  = []string{"Mia", "Leo", "Ana", "Sam"}
	gsmThings = []string{"pens", "cards", "keys", "hats"}
	gsmGain   = []string{"gets", "finds"}
	gsmLoss   = []string{"loses", "sells"}
)

// A template is an opening, a way to go on and a question. In them $n is the name, $t
// the thing, $a, $b and $c the numbers, $v and $w the two verbs.
var (
	gsmOpenings = []string{"$n has $a $t", "$n owns $a $t", "$n keeps $a $t", "At first $n has $a $t"}
	gsmEvents   = []string{", $v $b, then $w $c.", ". $n $v $b and $w $c.", " and $v $b. Then $n $w $c.", ". $n $v $b, later $w $c."}
	gsmAsks     = []string{"How many now?", "How many $t?", "How many are left?", "What is left?"}
)

const (
	gsmMax  = 9 // every number is one digit: of sums and differences there are 72
	gsmSalt = 3 // chosen so that every fact of the test split occurs in training
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
	if rand.New(rand.NewPCG(h.Sum64(), gsmSalt)).IntN(5) < 2 {
		return Test
	}
	return Train
}

// gsmTemplateSplit says which split a template belongs to: one in four is for testing.
// Each pair of its parts occurs in training, with other thirds.
func gsmTemplateSplit(opening, events, ask int) string {
	if (opening+events+ask)%4 == 0 {
		return Test
	}
	return Train
}

// GSM8K returns up to n problems of a split, always the same ones. Each is a story
// of two steps, sums and differences of small numbers. The splits share neither a
// template nor a combination of numbers; parts of templates, and single facts such as
// 4 + 3 = 7, occur in both, as they must: what a student has to generalise is which
// facts to use. No two problems of the test split have the same calculation.
func GSM8K(split string, n int) []GSM8KProblem {
	h := fnv.New64a()
	fmt.Fprint(h, "gsm8k ", split)
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	seen := map[string]bool{}
	answers := map[string]int{}
	var out []GSM8KProblem
	// The bound keeps a call for more than there is from running for ever.
	for tries := 0; len(out) < n && tries < 200*n+10000; tries++ {
		p, ok := gsmDraw(rng, split)
		key := p.Question
		if split == Test {
			key = p.Solution
		}
		// No answer may be so frequent that always giving it looks like skill.
		if !ok || seen[key] || answers[p.Answer] > 2+len(out)/6 {
			continue
		}
		answers[p.Answer]++
		seen[key] = true
		p.ID = fmt.Sprintf("gsm8k-%s-%04d", split, len(out)+1)
		out = append(out, p)
	}
	return out
}

// gsmDraw draws one problem; ok is false when its numbers or its template belong to the
// other split, or when it leads below one.
func gsmDraw(rng *rand.Rand, split string) (p GSM8KProblem, ok bool) {
	word := func(list []string) string { return list[rng.IntN(len(list))] }
	change := func() (verb, op string, sign int) {
		if rng.IntN(2) == 0 {
			return word(gsmGain), "+", 1
		}
		return word(gsmLoss), "-", -1
	}
	a, b, c := 2+rng.IntN(gsmMax-1), 1+rng.IntN(gsmMax), 1+rng.IntN(gsmMax)
	opening, events, ask := rng.IntN(len(gsmOpenings)), rng.IntN(len(gsmEvents)), rng.IntN(len(gsmAsks))
	who, thing := word(gsmNames), word(gsmThings)
	verb1, op1, sign1 := change()
	verb2, op2, sign2 := change()
	mid := a + sign1*b
	end := mid + sign2*c
	if mid < 1 || mid > gsmMax || end < 1 || end > gsmMax || gsmSplit(a, b, c) != split || gsmTemplateSplit(opening, events, ask) != split {
		return p, false
	}
	p.Question = strings.NewReplacer(
		"$n", who, "$t", thing, "$a", fmt.Sprint(a), "$b", fmt.Sprint(b), "$c", fmt.Sprint(c), "$v", verb1, "$w", verb2,
	).Replace(gsmOpenings[opening] + gsmEvents[events] + " " + gsmAsks[ask])
	p.Answer = fmt.Sprint(end)
	p.Solution = fmt.Sprintf("%d %s %d = %d. %d %s %d = %d. #### %d", a, op1, b, mid, mid, op2, c, end, end)
	return p, true
}
