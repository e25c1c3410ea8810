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
	maxNamed    = 200 // where the field is called label or the like
	rowsALabel  = 5   // rows for each, at least
	longestName = 60  // bytes of a label
	manyNumbers = 5   // labels that are numbers are hardly more
)

const labelNames = "label labels gold_label class category intent sentiment emotion topic coarse_label fine_label"

var (
	number = regexp.MustCompile(`^[-+−]?[$€£]?[-+−]?(\d{1,3}(,\d{3})+|\d*)(\.\d+|\d\.?)?\s?%?$`)
	digit  = regexp.MustCompile(`\d`)
	yesNo  = regexp.MustCompile(`(?i)^(yes|no|true|false)$`)
	// What is left of mathematics without its commands has signs and no words, but for
	// the unit of a number.
	command = regexp.MustCompile(`\\[A-Za-z]+|(sqrt|sin|cos|tan|log|exp)\b`)
	sign    = regexp.MustCompile(`[\d\\^=+*/<>]`)
	letters = regexp.MustCompile(`\pL{3,}|(^|\s)\pL{2}([\s.,]|$)`)
	unit    = regexp.MustCompile(`^[$€£]?[\d,.]+ ?\pL+\.?$`)
)

func isNumber(s string) bool { return digit.MatchString(s) && number.MatchString(s) }

func isMath(s string) bool {
	return isNumber(s) || unit.MatchString(s) || sign.MatchString(s) && !letters.MatchString(command.ReplaceAllString(s, ""))
}

// kindOf guesses the kind of answers from what a gold field holds. whole tells that
// the place holds it for all rows that there are.
func kindOf(p *place, whole bool) (t task.Task, doubts []Doubt) {
	texts, lists := goldTexts(p)
	if len(texts) == 0 {
		return task.Task{Answer: task.Text}, nil
	}
	doubt := func(field, format string, args ...any) {
		doubts = append(doubts, Doubt{field, fmt.Sprintf(format, args...)})
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
	numbers, maths := count(isNumber), count(isMath)
	labels := distinct(texts)
	named := p.rank(labelNames) >= 0
	// -1 and 1 are one label, but two numbers.
	signed := numbers >= enough && slices.ContainsFunc(texts, func(s string) bool { return strings.HasPrefix(s, "-") })
	few := !lists && !signed && len(labels) >= 2 && len(longest(labels)) <= longestName
	often := few && len(labels) <= maxLabels && len(labels)*rowsALabel <= len(p.values)
	if len(labels) == 1 && len(texts) > 1 {
		doubt("answer", "all these rows have the same answer in %s; rows with others may follow", p.path)
	}

	switch {
	case count(yesNo.MatchString) >= enough:
		t.Answer = task.YesNo
	case often || few && named && len(labels) <= maxNamed && len(labels) < len(texts):
		if numbers >= enough && !named {
			if len(labels) <= manyNumbers {
				doubt("answer", "%s has only the numbers %s; second guess: label", p.path, strings.Join(labels, ", "))
			}
			t.Answer = task.Number
			break
		}
		t.Answer, t.Labels = task.Label, map[string][]string{}
		for _, l := range labels {
			t.Labels[l] = []string{}
		}
		switch {
		case !often:
			doubt("answer", "%s has %d labels in %d rows, too few rows to be sure; second guess: text", p.path, len(labels), len(p.values))
		case !named:
			doubt("answer", "%s has %d different values in %d rows; second guess: text", p.path, len(labels), len(p.values))
		}
		if numbers >= enough {
			doubt("labels", "they are numbers; write what each means, as in NAME: [%q]; second guess: answer: number", labels[0])
		}
		if !whole {
			doubt("labels", "the first %d rows have these %d; add any that only later rows have", len(p.values), len(labels))
		}
	case numbers >= enough:
		t.Answer = task.Number
		if numbers < 1 {
			doubt("answer", "%.0f %% of the gold answers in %s are no plain numbers; second guess: math", 100*(1-numbers), p.path)
		}
	case count(func(s string) bool { return strings.Contains(s, `\boxed`) }) >= enough:
		t.Answer = task.Math
	case maths >= 0.8:
		t.Answer = task.Math
		if maths < enough {
			doubt("answer", "%s looks like mathematics in %.0f %% of the rows; second guess: text", p.path, 100*maths)
		}
	default:
		t.Answer = task.Text
		if maths >= 0.3 {
			doubt("answer", "%s looks like mathematics in %.0f %% of the rows; second guess: math", p.path, 100*maths)
		}
		if p.size() > 100*len(p.values) {
			doubt("answer", "the gold answers in %s are long, and few answers will equal them; f1: 0.5 accepts those that share most words; second guess: another field holds the answer", p.path)
		}
	}
	return t, doubts
}

// goldTexts are the gold answers of the rows, without the work that leads to them, and
// whether some rows have a list of them.
func goldTexts(p *place) (texts []string, lists bool) {
	for _, v := range p.values {
		values := []gjson.Result{v}
		if v.IsArray() {
			values, lists = v.Array(), true
		}
		for _, v := range values {
			if !says(v) || !isScalar(v) {
				continue
			}
			s := v.String()
			if i := strings.LastIndex(s, "####"); i >= 0 {
				s = s[i+4:]
			}
			texts = append(texts, strings.TrimSpace(s))
		}
	}
	return texts, lists
}

// distinct lists the texts that differ as labels, sorted.
func distinct(texts []string) []string {
	seen := map[string]bool{"": true} // dashes alone name nothing
	var all []string
	for _, s := range texts {
		if key := task.LabelKey(s); !seen[key] {
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
