package answer

import (
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

// Grade compares a prediction with q.Gold by the kind of the question. opt
// holds the policies for Number and Math.
//
// Where the question has several right answers, any of them counts, unless its task
// wants all of them. What q's task says of units, tolerance and lists goes before opt.
func Grade(q Question, pred string, opt mathverify.Options) mathverify.Result {
	t := q.spec()
	opt = policies(t, opt)
	first := gradeOne(q, t, pred, opt)
	if q.all() {
		return first
	}
	for _, gold := range q.Golds {
		if first.Verdict == mathverify.Equal {
			break
		}
		q.Gold = gold
		if r := gradeOne(q, t, pred, opt); r.Verdict == mathverify.Equal {
			return r
		}
	}
	return first
}

// policies are opt with what a task says instead.
func policies(t task.Task, opt mathverify.Options) mathverify.Options {
	opt.Tolerance = t.Tolerance
	opt.OrderedLists = opt.OrderedLists || t.OrderedLists
	switch t.Units {
	case "lenient":
		opt.Units = mathverify.UnitsLenient
	case "strict":
		opt.Units = mathverify.UnitsStrict
	case "ignore":
		opt.Units = mathverify.UnitsIgnore
	}
	return opt
}

func gradeOne(q Question, t task.Task, pred string, opt mathverify.Options) mathverify.Result {
	res := func(v mathverify.Verdict, reason string) mathverify.Result {
		return mathverify.Result{Verdict: v, Reason: reason, Gold: q.Gold, Pred: pred}
	}
	if strings.TrimSpace(pred) == "" {
		return res(mathverify.Different, "no prediction")
	}
	if q.Gold == "" {
		return res(mathverify.Unknown, "no gold answer")
	}
	switch q.Kind() {
	case Number, Math:
		return mathverify.Verify(q.Gold, pred, opt)
	case Text:
		return res(gradeText(t, q.Gold, pred))
	case Choice:
		if len(q.Choices) == 0 {
			break
		}
		if t.Several == "all" {
			return res(q.gradeSet(pred))
		}
		g, ok1 := q.label(q.Gold)
		p, ok2 := q.label(pred)
		switch {
		case !ok1:
			return res(mathverify.Unknown, "the gold names none of the choices")
		case !ok2:
			return res(mathverify.Different, "the prediction names none of the choices")
		case g == p:
			return res(mathverify.Equal, "same choice "+g)
		}
		// Two options with the same text are one answer.
		if plain(q.text(g)) == plain(q.text(p)) && q.text(g) != "" {
			return res(mathverify.Equal, "choices "+g+" and "+p+" have the same text")
		}
		return res(mathverify.Different, "choice "+p+", not "+g)
	case Label, YesNo:
		g, p := q.canonicalWord(q.Gold), q.canonicalWord(pred)
		if g == p {
			return res(mathverify.Equal, "same answer")
		}
		return res(mathverify.Different, p+", not "+g)
	}
	if plain(q.Gold) == plain(pred) {
		return res(mathverify.Equal, "same text")
	}
	return mathverify.Verify(q.Gold, pred, opt)
}

func (q Question) text(label string) string {
	for _, c := range q.Choices {
		if c.Label == label {
			return c.Text
		}
	}
	return ""
}

func (q Question) canonicalWord(s string) string {
	if q.Kind() == Label {
		if _, _, l, ok := q.labels().state(s); ok {
			return l
		}
	} else if _, _, l, ok := stateYesNo(s); ok {
		return l
	}
	return plain(s)
}

// Counted is a right answer as it is counted among those of other rows.
type Counted struct {
	Key  string // equal for answers that are one: free text by its words
	Text string // as the row has it
}

// Right lists q's right answers, each once; choices that must all be named are one.
func Right(q Question) []Counted {
	t := q.spec()
	golds := q.Golds
	if len(golds) == 0 {
		golds = []string{q.Gold}
	}
	if q.all() {
		var labels []string
		for _, g := range golds {
			l, _ := q.label(g)
			labels = append(labels, l)
		}
		one := strings.Join(q.inOrder(labels), ", ")
		return []Counted{{one, one}}
	}
	var out []Counted
	for _, g := range golds {
		key := g
		if q.Kind() == Text {
			if words := tokens(t, g); len(words) > 0 {
				key = strings.Join(words, " ")
			}
		}
		if !slices.ContainsFunc(out, func(c Counted) bool { return c.Key == key }) {
			out = append(out, Counted{key, g})
		}
	}
	return out
}
