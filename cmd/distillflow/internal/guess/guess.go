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

// Result is a guess.
type Result struct {
	Task task.Task
	// Doubts say where the guess is not sure, each with the second-best one where
	// there is one. They begin with the field of the task that they are about.
	Doubts []string
}

// The names of fields in one spelling, the best first.
const (
	questionNames = "question problem question_stem stem prompt query instruction ques input utterance sentence text title body review content"
	goldNames     = "gold_answer gold answer_key correct_answer correct_option correct_choice correct final_answer answer_idx answer_index answer_letter answer_text answer answers ans cop key gold_label label labels target expected ground_truth reference result output response completion solution class category intent sentiment emotion topic letter"
	idNames       = "id uid _id qid question_id example_id guid uuid idx index key"
	sureNames     = "gold_answer gold answer_key correct_answer final_answer" // nothing else is called so
	contextNames  = "context passage article paragraph story document background"
)

// Guess looks at rows, each a JSON object.
func Guess(rows [][]byte) Result {
	var g guesser
	parsed := make([]gjson.Result, len(rows))
	for i, r := range rows {
		parsed[i] = gjson.ParseBytes(r)
	}
	if len(rows) == 0 {
		return Result{Task: task.Task{Answer: task.Text}, Doubts: []string{"answer: there are no rows to look at"}}
	}
	g.all = placesOf(parsed)
	g.fields = map[string]string{}
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
	all    []*place
	taken  []*place
	task   task.Task
	fields map[string]string
	doubts []string
}

func (g *guesser) doubt(format string, args ...any) {
	g.doubts = append(g.doubts, fmt.Sprintf(format, args...))
}

func (g *guesser) take(ours, theirs string, p ...*place) {
	g.fields[ours] = theirs
	g.taken = append(g.taken, p...)
}

func (g *guesser) free(p *place) bool { return !slices.Contains(g.taken, p) }

// text reports a place of texts that nothing else was taken for.
func (g *guesser) text(p *place) bool { return g.free(p) && p.mostly(isString) }

// chat reads rows of messages, and reports whether the rows have them.
func (g *guesser) chat() bool {
	for _, p := range byName(g.all, "messages conversations conversation", func(p *place) bool {
		return p.mostly(func(_ int, v gjson.Result) bool { return v.IsArray() && v.Get("0").IsObject() })
	}) {
		first := p.values[slices.IndexFunc(p.values, says)]
		role, content := "role", "content"
		if first.Get("0.from").Exists() {
			role, content = "from", "value"
		}
		asks := -1
		for i, m := range first.Array() {
			if r := m.Get(role).String(); asks < 0 && (r == "user" || r == "human") {
				asks = i
			}
		}
		if asks < 0 {
			continue
		}
		answers := &place{path: fmt.Sprintf("%s[-1].%s", p.path, content), values: make([]gjson.Result, len(p.values))}
		odd := 0
		for i, v := range p.values {
			turns := v.Array()
			if len(turns) > 0 {
				answers.values[i] = turns[len(turns)-1].Get(content)
			}
			if len(turns) != asks+2 {
				odd++
			}
		}
		g.take("question", fmt.Sprintf("%s[%d].%s", p.path, asks, content), p)
		if odd > 0 {
			g.doubt("question: %d of %d rows have more or fewer turns than one question and its answer, and only message %d is asked; second guess: leave those rows out", odd, len(p.values), asks+1)
		}
		if own := g.golds(); len(own) > 0 && own[0].depth == 0 {
			answers = own[0]
		} else {
			g.doubt("gold: taken from the last message, which may hold more than the answer; second guess: the rows have no gold answers")
		}
		g.settle(answers)
		return true
	}
	return false
}

// choices reads multiple choice.
func (g *guesser) choices() {
	o := findChoices(g.all)
	if o == nil {
		return
	}
	found := o.findChosen(g.all)
	if len(found) == 0 && o.columns {
		return // columns that merely look like options
	}
	g.task.Answer = task.Choice
	g.take("choices", o.source, o.from...)
	if o.columns {
		g.doubt("choices: the options stand in columns of their own, so that an expression lists them: %s", o.source)
		if !o.whole() {
			g.doubt("choices: some rows leave one of %s empty; second guess: [%s] without blanks, by filter(%s, # != nil and # != \"\")", o.source, strings.Trim(o.source, "[]"), o.source)
		}
	}
	if len(found) == 0 {
		g.doubt("gold: no field says by label, text or number which of %s is right; second guess: text, without choices", o.source)
		return
	}
	best := found[0]
	g.take("gold", best.source(), best.place)
	switch {
	case best.share < enough:
		g.doubt("gold: %s fits an option in %.0f %% of the rows only; second guess: %s", best.path, 100*best.share, second(found))
	case best.rank(goldNames) < 0:
		g.doubt("gold: %s fits the options, though its name does not say so; second guess: %s", best.path, second(found))
	}
	if best.doubt != "" {
		g.doubts = append(g.doubts, best.doubt)
	}
	if source := best.source(); source != best.path {
		g.doubt("gold: %s counts the options from %d, so that an expression is used: %s", best.path, best.form-fromZero, source)
	}
}

func second(found []chosen) string {
	if len(found) > 1 {
		return found[1].path
	}
	return "none"
}

// pairs reads a premise and what may follow from it.
func (g *guesser) pairs() {
	for _, names := range []string{"premise hypothesis", "sentence1 sentence2", "sentence_1 sentence_2", "text_a text_b", "context hypothesis"} {
		a, b, _ := strings.Cut(names, " ")
		premise, hypothesis := byName(g.all, a, g.text), byName(g.all, b, g.text)
		if len(premise) == 0 || len(hypothesis) == 0 {
			continue
		}
		g.take("premise", premise[0].path, premise[0])
		g.take("hypothesis", hypothesis[0].path, hypothesis[0])
		if b != "hypothesis" {
			g.doubt("premise: %s and %s are taken for a premise and a hypothesis; second guess: another relation of the two, which prompt should say", a, b)
		}
		return
	}
}

// question finds what is asked.
func (g *guesser) question() {
	if g.fields["hypothesis"] != "" {
		return
	}
	found := byName(g.all, questionNames, g.text)
	if len(found) > 0 {
		g.take("question", found[0].path, found[0])
		if len(found) > 1 && found[0].rank(questionNames) >= 8 {
			g.doubt("question: taken from %s; second guess: %s", found[0].path, found[1].path)
		}
		return
	}
	if found = byName(g.all, questionNames, func(p *place) bool { return g.free(p) && p.share(isString) >= 0.5 }); len(found) > 0 {
		g.take("question", found[0].path, found[0])
		g.doubt("question: only %d of %d rows have %s; second guess: leave the others out, by on_error: skip", found[0].filled, len(found[0].values), found[0].path)
		return
	}
	// No name helps: what is asked is long.
	var long, next *place
	for _, p := range g.all {
		if !g.text(p) || p.rank(goldNames) >= 0 {
			continue
		}
		if long == nil || size(p) > size(long) {
			long, next = p, long
		} else if next == nil || size(p) > size(next) {
			next = p
		}
	}
	if long == nil {
		g.doubt("question: no field of texts looks like a question; set fields: {question: ...}")
		return
	}
	g.take("question", long.path, long)
	also := "none"
	if next != nil {
		also = next.path
	}
	g.doubt("question: no field is called like a question; taken from %s, whose texts are longest; second guess: %s", long.path, also)
}

func size(p *place) (n int) {
	for _, v := range p.values {
		n += len(v.String())
	}
	return n
}

// golds lists the fields that may hold the right answer, the best name first.
func (g *guesser) golds() []*place {
	return byName(g.all, goldNames+" text", func(p *place) bool {
		// A text inside of something is an answer inside of answers.
		if p.last() == "text" && !strings.Contains(strings.ToLower(p.path), "answer") {
			return false
		}
		return g.free(p) && p.mostly(func(_ int, v gjson.Result) bool {
			return isScalar(0, v) || v.IsArray() && isScalar(0, v.Get("0"))
		})
	})
}

// gold finds the right answer of rows that are no multiple choice.
func (g *guesser) gold() {
	if g.task.Answer == task.Choice {
		return
	}
	found := g.golds()
	if len(found) == 0 {
		for _, p := range g.all { // no name helps: what is left
			if g.free(p) && p.rank(idNames+" "+contextNames) < 0 && p.mostly(isScalar) {
				found = append(found, p)
			}
		}
		if len(found) == 0 {
			g.task.Answer = task.Text
			g.doubt("gold: no field looks like the right answer; set fields: {gold: ...}")
			return
		}
		slices.Reverse(found) // answers come after questions
		g.doubt("gold: no field is called like an answer; taken from %s; second guess: %s", found[0].path, after(found))
	} else if len(found) > 1 && found[0].rank(sureNames) < 0 {
		g.doubt("gold: taken from %s; second guess: %s", found[0].path, found[1].path)
	}
	g.settle(found[0])
}

func after(found []*place) string {
	if len(found) > 1 {
		return found[1].path
	}
	return "none"
}

// settle takes the gold answers from a place and the kind from them.
func (g *guesser) settle(p *place) {
	t, doubts := kindOf(p)
	g.take("gold", p.path, p)
	if g.fields["hypothesis"] != "" {
		t, doubts = entails(p, t, doubts)
	}
	g.task = t
	g.doubts = append(g.doubts, doubts...)
}

// entails reads the labels of natural language inference.
func entails(p *place, t task.Task, doubts []string) (task.Task, []string) {
	anli, _ := task.Preset("anli")
	texts, _ := goldTexts(p)
	coded := true
	for _, s := range distinct(texts) {
		known := false
		for label, names := range anli.Labels {
			known = known || strings.EqualFold(s, label) || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(s, n) })
		}
		if !known {
			t.Prompt = "Premise: {premise}\nHypothesis: {hypothesis}\n\nHow does the hypothesis relate to the premise?"
			return t, append(doubts, "prompt: a question that fits your labels is better than this one; second guess: that of the preset anli")
		}
		coded = coded && strings.Contains("012", s)
	}
	anli.Fields = nil
	if !coded {
		return anli, nil
	}
	return anli, []string{"labels: the numbers are taken as in most such data, 0 entailment, 1 neutral, 2 contradiction; second guess: 0 contradiction, 2 entailment"}
}

// context finds a text that the question is about.
func (g *guesser) context() {
	if g.fields["premise"] != "" || g.fields["question"] == "" {
		return
	}
	full := func(p *place) bool { return g.text(p) && p.filled == len(p.values) }
	if tables := byName(g.all, "table", full); len(tables) > 0 {
		g.take("table", tables[0].path, tables[0])
		g.ask("Table:\n{table}\n\n{question}")
		g.doubt("prompt: the question is taken to be about %s; second guess: the question alone", tables[0].path)
		return
	}
	found := byName(g.all, contextNames, full)
	if len(found) == 0 && strings.HasSuffix(g.fields["question"], "instruction") {
		found = byName(g.all, "input", full)
		if part := byName(g.all, "input", g.free); len(found) == 0 && len(part) > 0 && part[0].filled > 0 {
			g.doubt("prompt: %s is filled in %d of %d rows and is not shown; second guess: fields: {premise: %s} and {premise} in prompt", part[0].path, part[0].filled, len(part[0].values), part[0].path)
		}
	}
	if len(found) == 0 {
		return
	}
	g.take("premise", found[0].path, found[0])
	g.ask("{premise}\n\n{question}")
	g.doubt("prompt: the question is taken to be about %s, which the prompt shows as {premise}; second guess: the question alone", found[0].path)
}

// ask sets the prompt, with the options where there are some.
func (g *guesser) ask(prompt string) {
	if g.task.Answer == task.Choice {
		prompt += "\n{choices}"
	}
	g.task.Prompt = prompt
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
			g.take("id", p.path, p)
			return
		}
		if p.path == "id" {
			g.doubt("id: the field id does not name each row, by a text or number of its own; rename it in the data, and ids are made from the content")
		}
	}
}
