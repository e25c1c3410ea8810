package sampledata

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// RoutingProblem is a problem with one worked answer in each style. A style's name is
// that of its cell, family-style, so that a table of styles to students is one of cells.
type RoutingProblem struct {
	ID        string
	Family    string
	Question  string
	Answer    string
	Styles    []string
	Responses []string
}

// RoutingFamilies are the families of routing problems. Sizes and stories ask what words mean and hold no word
// that training lacks; letters and digits ask how a word or a number is written that
// occurs nowhere else. A tokenizer of whole words serves the former, one of letters the
// latter.
var RoutingFamilies = []string{"sizes", "stories", "letters", "digits"}

// RoutingStyles are the styles of each family: the answer alone, steps first, or a
// line of a program first.
var RoutingStyles = []string{"plain", "cot", "code"}

// From the smallest to the largest.
var routingSizes = []string{
	"flea", "ant", "wasp", "frog", "mouse", "rat", "crow", "cat", "fox", "dog", "wolf", "sheep",
	"pig", "lion", "bear", "horse", "cow", "bus", "plane", "tower", "hill", "town", "moon", "sun",
}

var (
	routingNames  = []string{"Mia", "Leo", "Ana", "Sam"}
	routingThings = []string{"pens", "cards", "shells", "stamps"}
	routingGain   = []string{"buys", "finds", "gets", "wins"}
	routingLoss   = []string{"loses", "sells", "drops", "breaks"}
)

// Routing returns n problems of each family of a split, always the same ones. The splits
// share no pair of things, no verb with two numbers, no word and no number to spell.
func Routing(split string, n int) []RoutingProblem {
	var out []RoutingProblem
	for _, family := range RoutingFamilies {
		h := fnv.New64a()
		fmt.Fprint(h, "routing ", family, split)
		rng := rand.New(rand.NewPCG(h.Sum64(), 1))
		seen := map[string]bool{}
		for k, tries := 0, 0; k < n && tries < 500*n; tries++ {
			var question, key, answer string
			var says []string // in the order of RoutingStyles
			switch family {
			case "sizes":
				question, key, answer, says = routingSize(rng)
			case "stories":
				question, key, answer, says = routingStory(rng)
			case "letters":
				question, key, answer, says = routingLetters(rng)
			default:
				question, key, answer, says = routingDigits(rng)
			}
			if seen[question] || routingSplit(family+" "+key) != split {
				continue
			}
			seen[question] = true
			k++
			p := RoutingProblem{ID: fmt.Sprintf("%s-%s-%04d", family, split, k), Family: family, Question: question, Answer: answer}
			for i, style := range RoutingStyles {
				if split == Test {
					break // nobody learns from these
				}
				p.Styles = append(p.Styles, family+"-"+style)
				p.Responses = append(p.Responses, strings.TrimSpace(says[i]+" The answer is "+answer+"."))
			}
			out = append(out, p)
		}
	}
	return out
}

// routingSplit says which split a pair, a word or a number belongs to: one in four is
// for testing.
func routingSplit(key string) string {
	h := fnv.New64a()
	fmt.Fprint(h, "routing ", key)
	if rand.New(rand.NewPCG(h.Sum64(), 1)).IntN(4) == 0 {
		return Test
	}
	return Train
}

func routingSize(rng *rand.Rand) (question, key, answer string, says []string) {
	i, j := rng.IntN(len(routingSizes)), rng.IntN(len(routingSizes)-1)
	if j >= i {
		j++
	}
	a, b := routingSizes[i], routingSizes[j]
	large, small := a, b
	if i < j {
		large, small = b, a
	}
	key = small + " " + large
	if rng.IntN(2) == 0 {
		return fmt.Sprintf("Which is larger, %s or %s?", a, b), key, large,
			[]string{"", fmt.Sprintf("A %s is larger than a %s.", large, small), fmt.Sprintf("max(%s, %s) = %s.", a, b, large)}
	}
	return fmt.Sprintf("Which is smaller, %s or %s?", a, b), key, small,
		[]string{"", fmt.Sprintf("A %s is smaller than a %s.", small, large), fmt.Sprintf("min(%s, %s) = %s.", a, b, small)}
}

// routingStory is one step. What is held out is a verb with two numbers; the sum or
// difference itself occurs in training, with other verbs.
func routingStory(rng *rand.Rand) (question, key, answer string, says []string) {
	a, b := between(rng, 2, 9), between(rng, 1, 9)
	verb, op, n := pick(rng, routingGain), "+", a+b
	if b < a && rng.IntN(2) == 0 {
		verb, op, n = pick(rng, routingLoss), "-", a-b
	}
	answer = fmt.Sprint(n)
	return fmt.Sprintf("%s has %d %s and %s %d. How many?", pick(rng, routingNames), a, pick(rng, routingThings), verb, b),
		fmt.Sprint(verb, a, b), answer,
		[]string{"", fmt.Sprintf("%d %s %d = %d.", a, op, b, n), fmt.Sprintf("x = %d; x %s= %d; x = %d.", a, op, b, n)}
}

func routingLetters(rng *rand.Rand) (question, key, answer string, says []string) {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var letters []string
	for range 2 {
		letters = append(letters, string(consonants[rng.IntN(len(consonants))]), string(vowels[rng.IntN(len(vowels))]))
	}
	word := strings.Join(letters, "")
	which, at, answer := "last", -1, letters[len(letters)-1]
	if rng.IntN(2) == 0 {
		which, at, answer = "first", 0, letters[0]
	}
	return fmt.Sprintf("What is the %s letter of %s?", which, word), word, answer,
		[]string{"", "It is spelled " + strings.Join(letters, " ") + ".", fmt.Sprintf("%s[%d] = %s.", word, at, answer)}
}

func routingDigits(rng *rand.Rand) (question, key, answer string, says []string) {
	number := fmt.Sprint(between(rng, 100, 999))
	d := strings.Split(number, "")
	answer = d[2] + d[1] + d[0]
	return fmt.Sprintf("Write %s backwards.", number), number, answer,
		[]string{"", fmt.Sprintf("From the end: %s %s %s.", d[2], d[1], d[0]), fmt.Sprintf("reverse(%s) = %s.", number, answer)}
}
