package guess

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/schema"
)

// options are the choices of the rows.
type options struct {
	source  string // a path or an expression
	from    []*place
	rows    [][]schema.Choice
	columns bool
}

const choiceNames = "choices options candidates endings alternatives answer_choices answer_options multiple_choice_options"

// findChoices finds a list of options, or else columns with one each.
func findChoices(all []*place) *options {
	ok := func(p *place) bool {
		return p.mostly(func(_ int, v gjson.Result) bool {
			c, err := schema.ParseChoices(v)
			return err == nil && len(c) >= 2
		})
	}
	for _, p := range byName(all, choiceNames, ok) {
		o := &options{source: p.path, from: []*place{p}}
		for _, v := range p.values {
			c, _ := schema.ParseChoices(v)
			o.rows = append(o.rows, c)
		}
		return o
	}
	return columns(all)
}

// member is the name of one of several columns with an option each.
var member = regexp.MustCompile(`^(.*\.)?(options?|opt|op|choices?|endings?|answer|ans|sol|solution|candidate|alternative|)[_ ]?([a-z]|[0-9])$`)

// columns finds options in columns of their own: A, B, C, D, or opa, opb, or
// choice1, choice2, or options.A, options.B.
func columns(all []*place) *options {
	groups := map[string][]*place{}
	var order []string
	for _, p := range all {
		m := member.FindStringSubmatch(strings.ToLower(p.path))
		if m == nil || m[2] == "" && m[1] == "" && m[3] >= "0" && m[3] <= "9" || p.share(isScalar) == 0 {
			continue
		}
		key := m[1] + m[2]
		have := groups[key]
		begins := m[3] == "a" || m[3] == "0" || m[3] == "1"
		switch {
		case len(have) == 0 && begins:
			order = append(order, key)
		case len(have) > 0 && m[3][0] == lastByte(have[len(have)-1].path)+1:
		default:
			continue
		}
		groups[key] = append(have, p)
	}
	for _, key := range order {
		set := groups[key]
		if len(set) < 2 || !set[0].mostly(isScalar) || !set[1].mostly(isScalar) {
			continue
		}
		o := &options{columns: true, from: set}
		var terms []string
		for _, p := range set {
			terms = append(terms, p.term())
		}
		o.source = "[" + strings.Join(terms, ", ") + "]"
		for i := range set[0].values {
			var row []schema.Choice
			for j, p := range set {
				if says(p.values[i]) {
					row = append(row, schema.Choice{Label: string(rune('A' + j)), Text: p.values[i].String()})
				}
			}
			o.rows = append(o.rows, row)
		}
		return o
	}
	return nil
}

func lastByte(s string) byte { return strings.ToLower(s)[len(s)-1] }

// whole reports that no row leaves one of the columns empty.
func (o *options) whole() bool {
	return !slices.ContainsFunc(o.from, func(p *place) bool { return p.filled < len(p.values) })
}

// goldForms are the ways in which a field may say which option is right.
const (
	byLabel = iota
	byText
	fromZero
	fromOne
	forms
)

// chosen is a field that says which option is right.
type chosen struct {
	*place
	form  int
	share float64 // of the rows that it fits
	doubt string
}

// findChosen finds the fields that say which option is right, the best first. What
// they hold decides; their names part those that fit alike.
func (o *options) findChosen(all []*place) []chosen {
	var found []chosen
	for _, p := range all {
		if slices.Contains(o.from, p) || strings.HasPrefix(p.path, o.from[0].path+".") && !o.columns {
			continue
		}
		c := o.read(p)
		if c.share < 0.5 || p.rank(goldNames) < 0 && p.rank(idNames) >= 0 {
			continue
		}
		at := len(found)
		for at > 0 && better(c, found[at-1]) {
			at--
		}
		found = slices.Insert(found, at, c)
	}
	return found
}

func better(a, b chosen) bool {
	if fits := a.share >= enough; fits != (b.share >= enough) {
		return fits
	}
	ra, rb := a.rank(goldNames), b.rank(goldNames)
	if (ra >= 0) != (rb >= 0) {
		return ra >= 0
	}
	if a.form != b.form {
		return a.form < b.form // a label needs no counting
	}
	return ra < rb
}

// read tells in which form a field says which option is right.
func (o *options) read(p *place) chosen {
	var n [forms]int
	low, high, count := 1<<30, -1, 0 // count: rows where the highest number is that of the options
	for i, v := range p.values {
		elements := []gjson.Result{v}
		if v.IsArray() {
			elements = v.Array()
		}
		for _, v := range elements[:min(len(elements), 1)] {
			if !says(v) || v.IsObject() || v.IsArray() {
				continue
			}
			t := strings.Trim(strings.TrimSpace(v.String()), "().")
			if slices.ContainsFunc(o.rows[i], func(c schema.Choice) bool { return strings.EqualFold(c.Label, t) }) {
				n[byLabel]++
			}
			if slices.ContainsFunc(o.rows[i], func(c schema.Choice) bool {
				return strings.EqualFold(strings.TrimSpace(c.Text), strings.TrimSpace(v.String()))
			}) {
				n[byText]++
			}
			if k, err := strconv.Atoi(t); err == nil {
				low, high = min(low, k), max(high, k)
				if k >= 0 && k < len(o.rows[i]) {
					n[fromZero]++
				}
				if k >= 1 && k <= len(o.rows[i]) {
					n[fromOne]++
				}
				if k == len(o.rows[i]) {
					count++
				}
			}
		}
	}
	best := byLabel
	for form := range forms {
		if n[form] > n[best] {
			best = form
		}
	}
	c := chosen{place: p, form: best, share: float64(n[best]) / float64(len(p.values))}
	if best == fromZero && low > 0 && count == 0 {
		c.doubt = fmt.Sprintf("gold: %s counts the options from %d to %d, never 0; taken to count from 0; second guess: from 1, which is gold: %q", p.path, low, high, p.term()+" - 1")
	}
	return c
}

// source is what the recipe says of the field.
func (c chosen) source() string {
	text := c.mostly(isString)
	switch {
	case c.form == fromOne && text:
		return "int(" + c.term() + ") - 1"
	case c.form == fromOne:
		return c.term() + " - 1"
	case c.form == fromZero && text:
		return "int(" + c.term() + ")"
	}
	return c.path
}
