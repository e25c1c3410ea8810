// Package guess guesses what rows ask: the kind of their answers and where their
// fields are, from names and from what the fields hold.
package guess

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/task"
)

// Result is a guess. A field of the task that has no place has not been found.
type Result struct {
	Task   task.Task
	Doubts []Doubt
}

// Doubt says where a guess is not sure, with the second-best one where there is one.
type Doubt struct {
	Field string // of the task, or one of its fields
	Text  string
}

// The names of fields in one spelling, the best first.
const (
	questionNames = "question problem question_stem stem prompt query instruction ques input utterance sentence text ctx goal title body review content"
	vagueNames    = "utterance sentence text ctx goal title body review content"
	goldNames     = "gold_answer gold answer_key correct_answer correct_option correct_choice correct final_answer final_decision answer_idx answer_index answer_letter answer_text answer answers ans cop key gold_label label labels coarse_label fine_label target expected ground_truth reference result output response completion solution class category intent sentiment emotion topic letter"
	insideNames   = "aliases text value spans" // of an answer
	idNames       = "id uid _id qid question_id example_id guid uuid idx index key"
	sureNames     = "gold_answer gold answer_key correct_answer final_answer" // nothing else is called so
	contextNames  = "context passage article paragraph story document background premise body"
)

// Guess looks at rows, each a JSON object. whole tells that there are no others.
func Guess(rows [][]byte, whole bool) Result {
	g := guesser{whole: whole, fields: map[string]string{}}
	g.all = placesOf(rows)
	g.header()
	if !g.chat() {
		g.choices()
		g.pairs()
		g.question()
		g.gold()
		g.context()
	}
	g.id()
	g.task.Fields = g.fields
	return Result{g.task, g.doubts}
}

type guesser struct {
	whole  bool
	all    []*place
	taken  []*place
	task   task.Task
	fields map[string]string
	doubts []Doubt
	asked  *place // the question; nil for pairs and chats
}

func (g *guesser) doubt(field, format string, args ...any) {
	g.doubts = append(g.doubts, Doubt{field, fmt.Sprintf(format, args...)})
}

func (g *guesser) take(ours, theirs string, p ...*place) {
	g.fields[ours] = theirs
	g.taken = append(g.taken, p...)
}

func (g *guesser) free(p *place) bool { return !slices.Contains(g.taken, p) }

// text reports a place of texts that nothing else was taken for.
func (g *guesser) text(p *place) bool { return g.free(p) && p.mostly(isString) }

// second is the second guess of a list.
func second(found []*place) string {
	if len(found) > 1 {
		return found[1].path
	}
	return "none"
}

// header finds tables whose first line is a row and no names.
func (g *guesser) header() {
	for _, p := range g.all {
		if p.depth == 0 && (strings.HasSuffix(p.path, "?") || p.share(func(v gjson.Result) bool { return v.Str == p.path }) > 0) {
			g.doubt("fields", "%q looks like a value and no name: if the first line of the table is a row, put a line of names before it", p.path)
			return
		}
	}
}

// chat reads rows of messages that have no question of their own. scan takes the
// question and the answer from such a list.
func (g *guesser) chat() bool {
	if len(byName(g.all, "question problem query", func(p *place) bool { return g.text(p) && p.depth == 0 })) > 0 {
		return false
	}
	found := byName(g.all, "messages conversations conversation", func(p *place) bool {
		return p.mostly(func(v gjson.Result) bool { return v.Get("0.role").Exists() || v.Get("0.from").Exists() })
	})
	if len(found) == 0 {
		return false
	}
	p := found[0]
	g.take("question", p.source, p)
	if own := g.golds(); len(own) > 0 && own[0].depth == 0 {
		g.settle(own[0])
		return true
	}
	answers := &place{path: p.path, values: make([]gjson.Result, len(p.values))}
	for i, v := range p.values {
		last := v.Get("@reverse.0")
		if answers.values[i] = last.Get("content"); !answers.values[i].Exists() {
			answers.values[i] = last.Get("value")
		}
	}
	g.doubt("gold", "taken from the last message, which may hold more than the answer; second guess: the rows have no gold answers")
	g.settle(answers)
	delete(g.fields, "gold")
	return true
}

// choices reads multiple choice.
func (g *guesser) choices() {
	o := findChoices(g.all)
	if o == nil {
		for _, p := range byName(g.all, choiceNames, g.text) {
			g.doubt("choices", "%s holds texts and no lists; write it as a JSON list, or options in columns of their own", p.path)
		}
		return
	}
	found := o.findChosen(g.all)
	if len(found) == 0 && len(o.from) > 1 {
		return // columns that merely look like options
	}
	g.task.Answer = task.Choice
	g.take("choices", o.source, o.from...)
	if o.holes {
		g.doubt("choices", "some rows leave out an option that is not the last, so that the next ones move up to other letters")
	}
	if len(found) == 0 {
		g.doubt("gold", "no field says by label, text or number which of %s is right; second guess: text, without choices", o.source)
		return
	}
	best, also := found[0], "none"
	if len(found) > 1 {
		also = found[1].path
	}
	g.take("gold", best.says(), best.place)
	switch {
	case best.share < enough:
		g.doubt("gold", "%s fits an option in %.0f %% of the rows only; second guess: %s", best.path, 100*best.share, also)
	case best.rank(goldNames) < 0:
		g.doubt("gold", "%s fits the options, though its name does not say so; second guess: %s", best.path, also)
	}
	if best.doubt != "" {
		g.doubts = append(g.doubts, Doubt{"gold", best.doubt})
	}
	if best.list {
		g.task.Several = "all"
		g.doubt("several", "some rows name several options in %s, taken for answers only together; second guess: any", best.path)
	}
	g.withoutChoices(o, best.place)
}

// withoutChoices finds the kind of the rows that have no options.
func (g *guesser) withoutChoices(o *options, gold *place) {
	rest := *gold
	rest.values = nil
	for i, v := range gold.values {
		if len(o.rows[i]) == 0 {
			rest.values = append(rest.values, v)
		}
	}
	if float64(len(rest.values)) <= (1-enough)*float64(len(gold.values)) {
		return
	}
	t, _ := kindOf(&rest, g.whole)
	if g.task.WithoutChoices = t.Answer; t.Answer != task.Number && t.Answer != task.Math {
		g.task.WithoutChoices = task.Text
	}
	g.doubt("without_choices", "%d of %d rows have no options, and their answers look like this", len(rest.values), len(gold.values))
}

// pairs reads a premise and what may follow from it.
func (g *guesser) pairs() {
	for _, names := range []string{"premise hypothesis", "sentence1 sentence2", "sentence_1 sentence_2", "text_a text_b", "context hypothesis"} {
		a, b, _ := strings.Cut(names, " ")
		premise, hypothesis := byName(g.all, a, g.text), byName(g.all, b, g.text)
		if len(premise) == 0 || len(hypothesis) == 0 {
			continue
		}
		g.take("premise", premise[0].source, premise[0])
		g.take("hypothesis", hypothesis[0].source, hypothesis[0])
		if b != "hypothesis" {
			g.doubt("premise", "%s and %s are taken for a premise and a hypothesis; second guess: another relation of the two, which prompt should say", a, b)
		}
		return
	}
}

// question finds what is asked.
func (g *guesser) question() {
	if g.fields["hypothesis"] != "" {
		return
	}
	found := byName(g.all, questionNames, func(p *place) bool { return g.text(p) && (p.varied() || p.name == "instruction") })
	if len(found) > 0 {
		if found[0].rank(vagueNames) >= 0 && len(found) > 1 {
			g.doubt("question", "taken from %s; second guess: %s", found[0].path, found[1].path)
		}
	} else if found = byName(g.all, questionNames, func(p *place) bool { return g.free(p) && p.share(isString) >= some && p.varied() }); len(found) > 0 {
		g.doubt("question", "only %d of %d rows have %s", found[0].filled, len(found[0].values), found[0].path)
	} else {
		// No name helps: what is asked is long.
		for _, p := range g.all {
			if g.text(p) && p.varied() && p.rank(goldNames) < 0 && !p.isID() {
				found = append(found, p)
			}
		}
		if len(found) == 0 {
			return
		}
		slices.SortStableFunc(found, func(a, b *place) int { return b.size() - a.size() })
		g.doubt("question", "no field is called like a question; taken from %s, whose texts are longest; second guess: %s", found[0].path, second(found))
	}
	g.asked = found[0]
	g.take("question", g.asked.source, g.asked)
}

// golds lists the fields that may hold the right answer, the best name first.
func (g *guesser) golds() []*place {
	hold := func(least float64) []*place {
		return byName(g.all, goldNames+" "+insideNames, func(p *place) bool {
			inside := p.rank(insideNames) >= 0 && !strings.Contains(strings.ToLower(p.path), "answer")
			return g.free(p) && !inside && p.share(func(v gjson.Result) bool {
				return isScalar(v) || v.IsArray() && isScalar(v.Get("0"))
			}) >= least
		})
	}
	if found := hold(enough); len(found) > 0 {
		return found
	}
	return hold(some)
}

// gold finds the right answer of rows that are no multiple choice.
func (g *guesser) gold() {
	if g.task.Answer == task.Choice {
		return
	}
	found := g.golds()
	switch {
	case len(found) == 0:
		for _, p := range g.all { // no name helps: what is left
			if g.free(p) && !p.isID() && p.rank(contextNames) < 0 && p.mostly(isScalar) && (p.different() > 1 || len(p.values) == 1) {
				found = append(found, p)
			}
		}
		if len(found) == 0 {
			g.task.Answer = task.Text
			g.doubt("gold", "no field looks like the right answer. Rows without one cannot be graded: scan refuses them, import reads them")
			return
		}
		slices.Reverse(found) // answers come after questions
		g.doubt("gold", "no field is called like an answer; taken from %s; second guess: %s", found[0].path, second(found))
	case found[0].filled < len(found[0].values):
		g.doubt("gold", "only %d of %d rows have %s", found[0].filled, len(found[0].values), found[0].path)
	case len(found) > 1 && found[0].rank(sureNames) < 0 && found[1].size() < 4*found[0].size():
		g.doubt("gold", "taken from %s; second guess: %s", found[0].path, found[1].path)
	}
	g.settle(found[0])
}

// settle takes the gold answers from a place and the kind from them.
func (g *guesser) settle(p *place) {
	t, doubts := kindOf(p, g.whole)
	g.take("gold", p.source, p)
	if g.fields["hypothesis"] != "" {
		t, doubts = entails(p, t, doubts)
	}
	g.task = t
	g.doubts = append(g.doubts, doubts...)
}

// entails reads the labels of natural language inference, which are those of the
// preset anli. -1 and - are rows on which people did not agree.
func entails(p *place, t task.Task, doubts []Doubt) (task.Task, []Doubt) {
	anli, _ := task.Preset("anli")
	names := map[string]bool{}
	for label, others := range anli.Labels {
		names[label] = true
		for _, n := range others {
			names[n] = true
		}
	}
	texts, _ := goldTexts(p)
	var codes, words int
	for _, s := range distinct(texts) {
		switch {
		case s == "-" || s == "-1":
		case len(s) == 1 && strings.Contains("012", s):
			codes++
		case names[strings.ToLower(s)]:
			words++
		default:
			codes = -3
		}
	}
	anli.Fields = nil
	switch {
	case words > 0 && codes == 0:
		return anli, nil
	case words == 0 && codes == 3:
		return anli, []Doubt{{"labels", "the numbers are taken as in most such data, 0 entailment, 1 neutral, 2 contradiction; second guess: 0 contradiction, 2 entailment"}}
	}
	t.Prompt = "Premise: {premise}\nHypothesis: {hypothesis}\n\nHow does the hypothesis relate to the premise?"
	return t, append(doubts, Doubt{"prompt", "a question that fits your labels is better than this one"})
}

// context finds a text that the question is about.
func (g *guesser) context() {
	if g.fields["premise"] != "" || g.asked == nil {
		return
	}
	full := func(p *place) bool { return g.text(p) && p.filled == len(p.values) }
	ours, prompt := "table", "Table:\n{table}\n\n{question}"
	found := byName(g.all, "table", full)
	if len(found) == 0 {
		ours, prompt = "premise", "{premise}\n\n{question}"
		found = byName(g.all, contextNames, full)
	}
	if len(found) == 0 && g.asked.name == "instruction" {
		found = byName(g.all, "input", func(p *place) bool { return g.free(p) && p.filled > 0 })
		if len(found) > 0 && !full(found[0]) {
			g.take("question", fmt.Sprintf(`trim(%s + "\n\n" + %s)`, g.asked.term, found[0].term), found[0])
			return
		}
	}
	if len(found) == 0 {
		return
	}
	g.take(ours, found[0].source, found[0])
	if g.task.Prompt = prompt; g.task.Answer == task.Choice {
		g.task.Prompt += "\n{choices}"
	}
	g.doubt("prompt", "the question is taken to be about %s, which the prompt shows as {%s}; second guess: the question alone", found[0].path, ours)
}

// id finds what names a row.
func (g *guesser) id() {
	for _, p := range byName(g.all, idNames, g.free) {
		seen := map[string]bool{}
		for _, v := range p.values {
			if v.Type == gjson.String || v.Type == gjson.Number {
				seen[v.String()] = true
			}
		}
		if len(seen) == len(p.values) {
			g.take("id", p.source, p)
			return
		}
		if p.path == "id" {
			g.doubt("id", "the field id does not name each row, by a text or number of its own; rename it in the data, and ids are made from the content")
		}
	}
}
