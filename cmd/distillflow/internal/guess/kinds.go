package guess

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/task"
)

// Bounds of a set of labels.
const (
	maxLabels   = 20
	rowsALabel  = 5  // rows for each, at least
	longestName = 60 // bytes of a label
)

const labelNames = "label labels gold_label class category intent sentiment emotion topic coarse_label"

var (
	number = regexp.MustCompile(`^[-+−]?[$€£]?[-+−]?(\d{1,3}(,\d{3})+|\d*)(\.\d+|\d\.?)?\s?%?$`)
	digits = regexp.MustCompile(`\d`)
	yesNo  = regexp.MustCompile(`(?i)^(yes|no|true|false)$`)
	latex  = regexp.MustCompile(`\\(boxed|d?frac|sqrt|pi|text|left|infty|cdot)|\$|^[-+*/^()\[\]{}=.,\d\sa-z]*[\d)}][-+*/^=()]+|^[(\[].*\d.*[)\]]$|\d\s*[-+*/^]`)
)

// kindOf guesses the kind of answers from what a gold field holds.
func kindOf(p *place) (t task.Task, doubts []string) {
	texts, lists := goldTexts(p)
	if len(texts) == 0 {
		return task.Task{Answer: task.Text}, nil
	}
	count := func(ok func(string) bool) float64 {
		n := 0
		for _, s := range texts {
			if ok(s) {
				n++
			}
		}
		return float64(n) / float64(len(texts))
	}
	stated := func(s string) string { // a worked solution ends in its answer
		if i := strings.LastIndex(s, "####"); i >= 0 {
			s = s[i+4:]
		}
		return strings.TrimSpace(s)
	}
	isNumber := func(s string) bool { s = stated(s); return digits.MatchString(s) && number.MatchString(s) }
	numbers := count(isNumber)
	mathy := count(func(s string) bool { return isNumber(s) || latex.MatchString(s) })
	boxed := count(func(s string) bool { return strings.Contains(s, `\boxed`) })
	labels := distinct(texts)
	named := p.rank(labelNames) >= 0
	few := !lists && len(labels) >= 2 && len(labels) <= maxLabels && len(longest(labels)) <= longestName
	often := few && len(labels)*rowsALabel <= len(p.values)

	switch {
	case count(yesNo.MatchString) >= enough:
		return task.Task{Answer: task.YesNo}, nil
	case few && named && (often || len(labels) < len(texts)):
		t = labelTask(labels)
		if !often {
			doubts = append(doubts, fmt.Sprintf("answer: %s has %d labels in %d rows, too few rows to be sure; second guess: text", p.path, len(labels), len(p.values)))
		}
		if numbers >= enough {
			doubts = append(doubts, fmt.Sprintf("answer: the labels of %s are numbers; write what they mean as labels: {NAME: [\"%s\"]}; second guess: number", p.path, labels[0]))
		}
		return t, append(doubts, unseen(labels))
	case numbers >= enough:
		if often && !strings.Contains(texts[0], "####") && len(labels) <= 5 {
			doubts = append(doubts, fmt.Sprintf("answer: %s has only the numbers %s; second guess: label", p.path, strings.Join(labels, ", ")))
		}
		if numbers < 1 {
			doubts = append(doubts, fmt.Sprintf("answer: %.0f %% of the gold answers in %s are no plain numbers; second guess: math", 100*(1-numbers), p.path))
		}
		return task.Task{Answer: task.Number}, doubts
	case boxed >= enough:
		return task.Task{Answer: task.Math}, nil
	case often:
		return labelTask(labels), []string{
			fmt.Sprintf("answer: taken for labels, as %s has %d different values in %d rows; second guess: text", p.path, len(labels), len(p.values)),
			unseen(labels),
		}
	case mathy >= 0.8:
		if numbers == 0 || mathy < 1 {
			doubts = append(doubts, fmt.Sprintf("answer: %s looks like mathematics in %.0f %% of the rows; second guess: text", p.path, 100*mathy))
		}
		return task.Task{Answer: task.Math}, doubts
	}
	if numbers >= 0.3 {
		doubts = append(doubts, fmt.Sprintf("answer: %.0f %% of the gold answers in %s are numbers; second guess: math", 100*numbers, p.path))
	}
	size := 0
	for _, s := range texts {
		size += len(s)
	}
	if size/len(texts) > 100 {
		doubts = append(doubts, fmt.Sprintf("answer: the gold answers in %s are long, and few answers will equal them; f1: 0.5 accepts those that share most words; second guess: another field holds the answer", p.path))
	}
	return task.Task{Answer: task.Text}, doubts
}

// goldTexts are the gold answers of the rows, and whether some have a list of them.
func goldTexts(p *place) (texts []string, lists bool) {
	for _, v := range p.values {
		values := []gjson.Result{v}
		if v.IsArray() {
			values, lists = v.Array(), true
		}
		for _, v := range values {
			if says(v) && isScalar(0, v) {
				texts = append(texts, strings.TrimSpace(v.String()))
			}
		}
	}
	return texts, lists
}

// distinct lists the texts that differ by more than case, sorted.
func distinct(texts []string) []string {
	seen := map[string]bool{}
	var all []string
	for _, s := range texts {
		if key := strings.ToLower(s); !seen[key] {
			seen[key] = true
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all
}

func longest(texts []string) string {
	return slices.MaxFunc(texts, func(a, b string) int { return len(a) - len(b) })
}

func labelTask(labels []string) task.Task {
	t := task.Task{Answer: task.Label, Labels: map[string][]string{}}
	for _, l := range labels {
		t.Labels[l] = []string{}
	}
	return t
}

func unseen(labels []string) string {
	return fmt.Sprintf("labels: the %d seen in these rows; add any that only later rows have", len(labels))
}
