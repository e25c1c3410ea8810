package answer

import (
	"strings"

	"github.com/distillflow/distillflow/internal/mathverify"
)

// Grade compares a prediction with q.Gold by the kind of the question. opt
// holds the policies for Number and Math.
func Grade(q Question, pred string, opt mathverify.Options) mathverify.Result {
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
	case Choice:
		if len(q.Choices) == 0 {
			break
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
		g, p := canonicalWord(q.Kind(), q.Gold), canonicalWord(q.Kind(), pred)
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

func canonicalWord(k Kind, s string) string {
	if k == Label {
		if _, _, l, ok := stateLabel(s); ok {
			return l
		}
	} else if _, _, l, ok := stateYesNo(s); ok {
		return l
	}
	return plain(s)
}
