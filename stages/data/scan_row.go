package data

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// parseRow reads a row of a task in any of the layouts that data sets come in.
// dir is the folder that table files are named from.
// repaired tells that the gold answer had been broken by a JSON escape.
func parseRow(line []byte, t rowTask, dir string) (p schema.Problem, repaired bool, err error) {
	root := gjson.ParseBytes(line)
	if !root.IsObject() {
		err = fmt.Errorf("a row must be a JSON object, not %s", schema.KindOf(root))
		if root.IsArray() {
			err = fmt.Errorf("%w: JSONL has one object a line, without a list around them", err)
		}
		return p, false, err
	}
	r := rowParser{row: &p, task: t, root: root, dir: dir}
	if err := r.locate(); err != nil {
		return p, false, err
	}
	root.ForEach(func(k, v gjson.Result) bool {
		err = r.field(k.String(), v)
		return err == nil
	})
	if err == nil {
		repaired, err = r.finish()
	}
	return p, repaired, err
}

type rowParser struct {
	row   *schema.Problem
	task  rowTask
	root  gjson.Result
	dir   string
	found []located
	gold  located
	chat  *conversation // that the question comes from; nil for none
	seen  schema.Names
}

// located is the value of one of our fields, and how its source is written.
type located struct {
	ours, theirs string
	value        gjson.Result
}

// ownGold is where a row has its gold answers if the task does not say: where a stage
// wrote them, or under our name.
var ownGold = fieldMap{"gold": {
	{text: "gold_answers", path: []string{"gold_answers"}},
	{text: "gold_answer", path: []string{"gold_answer"}},
	{text: "gold", path: []string{"gold"}},
}}

// locate takes the values of the fields that the task says a place for.
func (r *rowParser) locate() error {
	for _, ours := range r.task.names {
		v, from, err := r.task.fields.take(r.root, ours, nil)
		if err != nil {
			return err
		}
		r.found = append(r.found, located{ours, from, v})
	}
	golds := r.task.fields
	if golds["gold"] == nil {
		golds = ownGold
	}
	v, from, err := golds.take(r.root, "gold", r.states)
	r.gold = located{"gold", from, v}
	return err
}

// mapped gives the value of one of our fields that the task says a place for.
func (r *rowParser) mapped(ours string) (l located, ok bool) {
	i := slices.IndexFunc(r.found, func(l located) bool { return l.ours == ours })
	if i < 0 {
		return l, false
	}
	return r.found[i], true
}

// field takes a field of the raw row. One whose name is ours but which the task takes
// from elsewhere is kept aside.
func (r *rowParser) field(name string, v gjson.Result) error {
	if !r.seen.Add(name) {
		return fmt.Errorf("field %q occurs twice", name)
	}
	if l, ok := r.mapped(name); ok {
		r.aside(name, v, l.value)
		return nil
	}
	return r.set(name, v)
}

// aside keeps a raw field whose name is ours as an unknown field, under a name that no
// other has, unless it says no more than what was taken.
func (r *rowParser) aside(name string, v, taken gjson.Result) {
	if !there(v) || v.Raw == taken.Raw {
		return
	}
	for name = "raw_" + name; member(r.root, name).Exists() || !r.seen.Add(name); {
		name = "raw_" + name
	}
	r.extra(name, v)
}

func (r *rowParser) extra(name string, v gjson.Result) {
	if r.row.Extra == nil {
		r.row.Extra = make(schema.Fields, 0, 4) // most rows have some
	}
	r.row.Extra = append(r.row.Extra, schema.Field{Name: name, Raw: []byte(v.Raw)})
}

// set sets one of our fields, or keeps one that is not ours.
func (r *rowParser) set(name string, v gjson.Result) error {
	p := r.row
	if v.Type == gjson.Null {
		switch name {
		case "id", "task", "task_spec", "question", "premise", "hypothesis", "table", "gold_answer", "gold_answers", "choices", "paths":
			return nil
		}
	}
	switch name {
	case "id":
		switch {
		case v.Type == gjson.String:
			p.ID = v.String()
		case v.Type == gjson.Number:
			p.ID = v.Raw
		default:
			return schema.TypeError(name, "a string or a number", v)
		}
		return nil
	case "task":
		switch {
		case v.String() == r.task.name:
		case r.task.spec == nil:
			return fmt.Errorf("field \"task\" is %s, but scan reads %s: set task in the recipe, or rename the field", v.Raw, r.task.name)
		default:
			r.aside(name, v, gjson.Result{})
		}
		return nil
	case "question":
		switch {
		case v.IsObject():
			return r.stem(v)
		case v.IsArray():
			return r.converse("question", v)
		}
		return setText(&p.Question, name, v)
	case "premise":
		return setText(&p.Premise, name, v)
	case "hypothesis":
		return setText(&p.Hypothesis, name, v)
	case "table":
		return setText(&p.Table, name, v)
	case "gold_answer", "gold_answers":
		if r.gold.theirs != "gold_answer" && r.gold.theirs != "gold_answers" {
			r.aside(name, v, gjson.Result{})
		}
		return nil // finish reads the gold
	case "task_spec":
		return nil // the task is the recipe's
	case "choices":
		var err error
		p.Choices, err = schema.ParseChoices(v)
		return err
	case "paths":
		var own schema.Problem
		err := own.UnmarshalJSON([]byte(`{"paths":` + v.Raw + `}`))
		p.Paths = own.Paths
		return err
	}
	r.extra(name, v)
	return nil
}

// stem reads the question object {stem, choices} of the ARC and CommonsenseQA
// originals; its other members become fields of the row.
func (r *rowParser) stem(v gjson.Result) error {
	var err error
	v.ForEach(func(k, m gjson.Result) bool {
		switch name := k.String(); name {
		case "stem":
			err = setText(&r.row.Question, "question.stem", m)
		default:
			err = r.field(name, m)
		}
		return err == nil
	})
	return err
}

// finish fills the fields that the task takes from elsewhere, checks that the row is
// whole and reads its gold answer and its paths.
func (r *rowParser) finish() (repaired bool, err error) {
	p := r.row
	p.Task, p.TaskSpec = r.task.name, r.task.spec
	for _, l := range r.found {
		if !there(l.value) {
			continue
		}
		if err := r.set(l.ours, l.value); err != nil {
			if r.task.spec == nil {
				return false, err
			}
			return false, fmt.Errorf("%w (from %q)", err, r.task.fields.theirs(l.ours))
		}
	}
	if err := r.findChat(); err != nil {
		return false, err
	}
	if tableRef(p.Table) {
		t, err := readTable(r.dir, p.Table)
		if err != nil {
			return false, err
		}
		p.Table = t
	}
	if err := r.complete(); err != nil {
		return false, err
	}
	if repaired, err = r.finishGold(); err != nil {
		return false, err
	}
	_, err = p.TakeLists()
	return repaired, err
}

// complete checks that the row has what its task's prompt shows.
func (r *rowParser) complete() error {
	q := prompts.Question{Task: r.task.Task, Question: r.row.Question, Premise: r.row.Premise, Hypothesis: r.row.Hypothesis, Table: r.row.Table}
	if r.task.KindOf(len(r.row.Choices)) != task.Choice {
		q.Choices = []prompts.Choice{{}} // not asked for
	} else if n := len(r.row.Choices); n > 0 || r.task.fields["choices"] == nil {
		if n < 2 {
			return fmt.Errorf("field \"choices\" has %d entries, and a row of %s needs at least 2", n, r.task.name)
		}
		q.Choices = []prompts.Choice{{}}
	}
	lacks := q.Lacks()
	if len(lacks) == 0 {
		return nil
	}
	name := lacks[0]
	if r.task.spec == nil {
		return fmt.Errorf("field %q is missing or empty, and a row of %s needs it", name, r.task.name)
	}
	return errors.New(r.task.fields.absent(r.root, name, name))
}

// hashID makes an id from a row's content. Rows that are equal up to white space
// between JSON tokens have the same, and are numbered by [idSet.numbered].
func hashID(task string, line []byte) string {
	sum := sha256.Sum256(compact(make([]byte, 0, len(line)), line))
	return task + "-" + hex.EncodeToString(sum[:6])
}

// compact appends valid JSON without the white space between its tokens.
func compact(dst, line []byte) []byte {
	start := 0 // of what has not been appended yet
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ', '\t', '\r', '\n':
			dst = append(dst, line[start:i]...)
			start = i + 1
		case '"':
			for i++; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' {
					i++
				}
			}
		}
	}
	return append(dst, line[start:]...)
}

func setText(dst *string, name string, v gjson.Result) error {
	if v.Type != gjson.String {
		return schema.TypeError(name, "a string", v)
	}
	*dst = v.String()
	return nil
}

// states reports whether a value can be the gold answer: a preset's worked solution only
// where it ends in one.
func (r *rowParser) states(s source, v gjson.Result) bool {
	return !r.task.preset || s.text != "solution" || strings.Contains(v.String(), "####") || strings.Contains(v.String(), `\boxed`)
}

// finishGold brings the row's gold answers into the form that the task's verifier compares
// with. repaired tells that a JSON escape had broken one.
func (r *rowParser) finishGold() (repaired bool, err error) {
	l := r.gold
	if !there(l.value) {
		if r.chat == nil || r.chat.answer == "" || r.task.says("gold") {
			return false, r.noGold()
		}
		l = located{"gold", r.chat.field, textValue(r.stated(r.chat.answer))}
	}
	repaired, err = r.setGold(l.theirs, l.value)
	if err != nil {
		err = fmt.Errorf("field %q: %w", l.theirs, err)
	}
	return repaired, err
}

// stated is the answer that an assistant's message states, or all of it without its
// thoughts.
func (r *rowParser) stated(message string) string {
	p := schema.Path{Response: message}
	moveThoughts(&p)
	q := r.question()
	if q.Kind() != answer.Text {
		if a := answer.Extract(q, p.Response, answer.Options{}).Answer; a != "" {
			return a
		}
	}
	return p.Response
}

// question is what the row asks, without its gold.
func (r *rowParser) question() answer.Question {
	q := answer.Question{Task: r.task.name, Spec: &r.task.Task}
	for _, c := range r.row.Choices {
		q.Choices = append(q.Choices, answer.Option(c))
	}
	return q
}

func (r *rowParser) noGold() error {
	if r.task.preset {
		return fmt.Errorf("the gold answer is missing: a row of %s gives it as gold_answer or %s", r.task.name, goldPlaces(r.task.Task))
	}
	return fmt.Errorf("the gold answer is missing: %s", r.task.fields.absent(r.root, "gold", "gold_answer"))
}

// goldPlaces names the field, beside gold_answer, that a preset's gold answer comes from.
func goldPlaces(t task.Task) string {
	places := strings.Split(strings.TrimPrefix(t.Fields["gold"], "gold_answer ?? "), " ?? ")
	place := cmp.Or(places[0], "gold_answers")
	if slices.Contains(places, "solution") {
		switch t.Answer {
		case task.Number:
			place += `, or a solution that ends in "#### 18"`
		case task.Math:
			place += `, or a solution with \boxed{}`
		}
	}
	return place
}

// setGold takes the gold answer from a field; a list holds several right ones.
func (r *rowParser) setGold(name string, v gjson.Result) (repaired bool, err error) {
	values := []gjson.Result{v}
	if v.IsArray() && !r.task.preset {
		values = v.Array()
	}
	q := r.question()
	var all []string
	for _, v := range values {
		text, err := answer.ScalarText(v)
		if err == nil && v.Type == gjson.Number && r.counts(name) {
			text, err = indexed(v, r.row.Choices)
		}
		if err != nil {
			return false, err
		}
		for _, one := range answer.Golds(q, text) {
			g, err := answer.Normalize(q, one)
			if err != nil {
				return false, err
			}
			repaired = repaired || g.Repaired
			if !slices.Contains(all, g.Answer) {
				all = append(all, g.Answer)
			}
		}
	}
	if len(all) == 0 {
		return false, errors.New("the list of gold answers is empty")
	}
	r.row.GoldAnswer = all[0]
	if len(all) > 1 {
		r.row.GoldAnswers = all
	}
	return repaired, nil
}

// counts reports whether a number in a field may count the choices instead of
// naming one. In a preset's answer it is an answer, as tables of numbers have it.
func (r *rowParser) counts(name string) bool {
	return (name != "answer" || !r.task.preset) && len(r.row.Choices) > 0 && r.task.Answer == task.Choice
}

// indexed turns a number into a choice's label. A number that is no label or
// text itself counts from 0, as the Hugging Face versions of the sets do.
func indexed(v gjson.Result, choices []schema.Choice) (string, error) {
	if i := slices.IndexFunc(choices, func(c schema.Choice) bool { return c.Label == v.Raw || c.Text == v.Raw }); i >= 0 {
		return choices[i].Label, nil
	}
	n, err := strconv.Atoi(v.Raw)
	if err != nil || n < 0 || n >= len(choices) {
		return "", fmt.Errorf("%s counts the choices from 0, and there are %d", v.Raw, len(choices))
	}
	return choices[n].Label, nil
}

// brokenCommands are LaTeX commands whose backslash and first letter a careless
// writer turned into a JSON escape, by that letter. Only endings that cannot
// begin an English word after a tab or line end are listed, so that real tabs
// and line ends stay.
var brokenCommands = map[byte][]string{
	'b': {"oxed", "inom", "egin", "eta", "ar{", "mod", "ig", "f{", "oldsymbol", "ullet", "ackslash"},
	'f': {"rac", "orall", "box"},
	't': {"ext{", "imes", "heta", "frac", "extbf{"},
	'r': {"ight)", "ight]", "ight|", "ight.", `ight\`},
}

// controls are the same escapes in their \u form.
var controls = map[string]byte{"0008": 'b', "000c": 'f', "000C": 'f', "0009": 't', "000d": 'r', "000D": 'r'}

// repairEscapes doubles the backslash of broken LaTeX commands in a line of
// JSON and returns how many there were. Without any it returns the line itself.
func repairEscapes(line []byte) ([]byte, int) {
	if bytes.IndexByte(line, '\\') < 0 {
		return line, 0
	}
	var out []byte
	n, copied := 0, 0
	for i := 0; i+1 < len(line); i++ {
		next := bytes.IndexByte(line[i:len(line)-1], '\\')
		if next < 0 {
			break
		}
		i += next
		letter, size := line[i+1], 2
		if letter == 'u' && i+6 <= len(line) {
			letter, size = controls[string(line[i+2:i+6])], 6
		}
		for _, ending := range brokenCommands[letter] {
			if bytes.HasPrefix(line[i+size:], []byte(ending)) {
				out = append(append(out, line[copied:i]...), '\\', '\\', letter)
				copied = i + size
				n++
				break
			}
		}
		i += size - 1
	}
	if n == 0 {
		return line, 0
	}
	return append(out, line[copied:]...), n
}
