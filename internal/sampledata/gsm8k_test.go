package sampledata

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var gsmNumber = regexp.MustCompile(`[0-9]+`)

func combination(question string) string {
	n := gsmNumber.FindAllString(question, -1)
	slices.Sort(n)
	return strings.Join(n, " ")
}

// template is a question without its names, things, numbers and verbs.
func template(question string) string {
	for i, list := range [][]string{gsmNames, gsmThings, slices.Concat(gsmGain, gsmLoss)} {
		for _, w := range list {
			question = strings.ReplaceAll(question, w, "$"+"ntv"[i:i+1])
		}
	}
	return gsmNumber.ReplaceAllString(question, "#")
}

func TestGSM8KSplitsShareNothing(t *testing.T) {
	questions, combos, templates := map[string]string{}, map[string]string{}, map[string]string{}
	for _, split := range []string{Train, Test} {
		for _, p := range GSM8K(split, 1000) {
			if other, ok := questions[p.Question]; ok {
				t.Fatalf("%q is in %s and %s", p.Question, other, split)
			}
			questions[p.Question] = split
			c := combination(p.Question)
			if other, ok := combos[c]; ok && other != split {
				t.Fatalf("numbers %s are in %s and %s", c, other, split)
			}
			combos[c] = split
			w := template(p.Question)
			if other, ok := templates[w]; ok && other != split {
				t.Fatalf("the template %q is in %s and %s", w, other, split)
			}
			templates[w] = split
		}
	}
	if n := len(gsmOpenings) * len(gsmEvents) * len(gsmAsks); len(templates) != n {
		t.Errorf("%d templates occur of %d", len(templates), n)
	}
}

// Test problems with the same calculation would not be independent, and intervals around
// accuracies too narrow.
func TestGSM8KTestCalculationsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, p := range GSM8K(Test, testRows) {
		if other, ok := seen[p.Solution]; ok {
			t.Errorf("%s and %s have the same calculation", other, p.ID)
		}
		seen[p.Solution] = p.ID
	}
	if len(seen) != testRows {
		t.Errorf("%d test problems, want %d", len(seen), testRows)
	}
}

// testRows is the size of the shipped test split.
const testRows = 160

func TestGSM8KSolutionsAreRight(t *testing.T) {
	step := regexp.MustCompile(`^(\d+) ([-+]) (\d+) = (\d+)$`)
	for _, split := range []string{Train, Test} {
		problems := GSM8K(split, testRows)
		if len(problems) != testRows {
			t.Fatalf("%s: %d problems", split, len(problems))
		}
		for _, p := range problems {
			body, answer, ok := strings.Cut(p.Solution, ". #### ")
			if !ok || answer != p.Answer {
				t.Fatalf("%s: %q does not end in the answer %s", p.ID, p.Solution, p.Answer)
			}
			used := map[string]bool{}
			last := ""
			for _, s := range strings.Split(body, ". ") {
				m := step.FindStringSubmatch(s)
				if m == nil {
					t.Fatalf("%s: step %q", p.ID, s)
				}
				var a, b, want int
				fmt.Sscan(m[1]+" "+m[3]+" "+m[4], &a, &b, &want)
				got := map[string]int{"+": a + b, "-": a - b}[m[2]]
				if got != want || want < 1 || want > gsmMax {
					t.Fatalf("%s: %s", p.ID, s)
				}
				if last != "" && m[1] != last {
					t.Fatalf("%s: %q does not go on from %s", p.ID, s, last)
				}
				used[m[1]], used[m[3]] = true, true
				last = m[4]
			}
			if last != p.Answer {
				t.Fatalf("%s: steps end in %s, answer %s", p.ID, last, p.Answer)
			}
			for _, n := range gsmNumber.FindAllString(p.Question, -1) {
				if !used[n] {
					t.Fatalf("%s: %s is not used in %q", p.ID, n, p.Solution)
				}
			}
		}
	}
}

func TestGSM8KIsDeterministic(t *testing.T) {
	a, b := GSM8K(Train, 50), GSM8K(Train, 200)
	if !slices.Equal(a, b[:50]) {
		t.Error("more problems changed the first ones")
	}
}

// The majority answer must not be a way to pass.
func TestGSM8KAnswersAreSpread(t *testing.T) {
	counts := map[string]int{}
	problems := GSM8K(Test, testRows)
	for _, p := range problems {
		counts[p.Answer]++
	}
	for a, n := range counts {
		if n*5 > len(problems) {
			t.Errorf("answer %s has %d of %d problems", a, n, len(problems))
		}
	}
}

// What is held out is the combination, not the arithmetic: a student that never
// saw 6 + 3 = 9 could not be expected to know it.
func TestGSM8KTestFactsOccurInTraining(t *testing.T) {
	facts := map[string]bool{}
	for _, p := range GSM8K(Train, 1000) {
		for _, f := range strings.Split(strings.TrimSuffix(p.Solution, ". #### "+p.Answer), ". ") {
			facts[f] = true
		}
	}
	for _, p := range GSM8K(Test, testRows) {
		for _, f := range strings.Split(strings.TrimSuffix(p.Solution, ". #### "+p.Answer), ". ") {
			if !facts[f] {
				t.Errorf("%s: %s does not occur in training", p.ID, f)
			}
		}
	}
}
