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
	source string // a path or an expression
	from   []*place
	rows   [][]schema.Choice
	holes  bool // a row leaves an option out that is not the last
}

const (
	choiceNames = "choices options candidates endings alternatives answer_choices answer_options multiple_choice_options"
	some        = 0.1 // the share of the rows that have options at least
)

// findChoices finds a list of options, or else columns with one each.
func findChoices(all []*place) *options {
	found := byName(all, choiceNames, func(p *place) bool {
		lists := p.share(func(v gjson.Result) bool {
			c, err := schema.ParseChoices(v)
			return err == nil && len(c) >= 2
		})
		return lists >= some && lists*float64(len(p.values)) >= enough*float64(p.filled)
	})
	if len(found) == 0 {
		return columns(all)
	}
	p := found[0]
	o := &options{source: p.source, from: []*place{p}}
	for _, v := range p.values {
		c, _ := schema.ParseChoices(v) // none where it is broken
		o.rows = append(o.rows, c)
	}
	o.unletter(p)
	return o
}

// unletter takes the letters off options that begin with their own, as in "B)21".
func (o *options) unletter(p *place) {
	for _, form := range []string{"(%s) ", "(%s)", "%s) ", "%s)", "%s. ", "%s: "} {
		all := true
		for _, row := range o.rows {
			for _, c := range row {
				all = all && strings.HasPrefix(c.Text, fmt.Sprintf(form, c.Label))
			}
		}
		if !all || !p.mostly(func(v gjson.Result) bool { return isString(v.Get("0")) }) {
			continue
		}
		n := len(fmt.Sprintf(form, "A"))
		o.source = fmt.Sprintf("map(%s, #[%d:])", p.term, n)
		for _, row := range o.rows {
			for i := range row {
				row[i].Text = row[i].Text[n:]
			}
		}
		return
	}
}

// column is the name of one of several columns with an option each.
var column = regexp.MustCompile(`^(.*\.)?(options?|opt|op|choices?|endings?|answer|ans|sol|solution|candidate|alternative|)[_ ]?([a-z]|[0-9])$`)

// columns finds options in columns of their own: A, B, C, D, or opa, opb, or
// choice1, choice2, or options.A, options.B.
func columns(all []*place) *options {
	groups := map[string][]*place{}
	var order []string
	for _, p := range all {
		m := column.FindStringSubmatch(strings.ToLower(p.path))
		if m == nil || m[2] == "" && m[1] == "" && m[3] < "a" || p.share(isScalar) == 0 {
			continue
		}
		key := m[1] + m[2]
		have := groups[key]
		switch {
		case len(have) == 0 && strings.Contains("a01", m[3]):
			order = append(order, key)
		case len(have) > 0 && m[3][0] == lastByte(have[len(have)-1].path)+1:
		default:
			continue
		}
		groups[key] = append(have, p)
	}
	for _, key := range order {
		if set := groups[key]; len(set) >= 2 && set[0].mostly(isScalar) && set[1].mostly(isScalar) {
			return listed(set)
		}
	}
	return nil
}

func lastByte(s string) byte { return strings.ToLower(s)[len(s)-1] }

// listed makes options of columns.
func listed(set []*place) *options {
	o := &options{from: set}
	var terms []string
	filled := true
	for _, p := range set {
		terms = append(terms, p.term)
		filled = filled && p.filled == len(p.values)
	}
	o.source = "[" + strings.Join(terms, ", ") + "]"
	if !filled {
		o.source = fmt.Sprintf(`filter(%s, # != nil and # != "")`, o.source)
	}
	for i := range set[0].values {
		var row []schema.Choice
		for j, p := range set {
			if says(p.values[i]) {
				o.holes = o.holes || len(row) < j
				row = append(row, schema.Choice{Label: string(rune('A' + j)), Text: p.values[i].String()})
			}
		}
		o.rows = append(o.rows, row)
	}
	return o
}

// form is a way in which a field may say which option is right.
type form int

const (
	byLabel form = iota
	byText
	fromZero
	fromOne
	byMark // a list with a 1 for the right option and a 0 for each other
	forms
)

// chosen is a field that says which option is right.
type chosen struct {
	*place
	form  form
	share float64 // of the rows with options that it fits
	list  bool    // some rows name several options
	doubt string
}

// findChosen finds the fields that say which option is right, the best first. What
// they hold decides; their names part those that fit alike.
func (o *options) findChosen(all []*place) []chosen {
	var found []chosen
	for _, p := range all {
		if slices.Contains(o.from, p) || strings.HasPrefix(p.path, o.from[0].path+".") {
			continue
		}
		if c := o.read(p); c.share >= 0.5 && (p.rank(goldNames) >= 0 || !p.isID()) {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b chosen) int {
		ra, rb := a.rank(goldNames), b.rank(goldNames)
		switch {
		case (a.share >= enough) != (b.share >= enough):
			return before(a.share >= enough)
		case (ra >= 0) != (rb >= 0):
			return before(ra >= 0)
		case a.form != b.form:
			return int(a.form - b.form) // a label needs no counting
		}
		return ra - rb
	})
	return found
}

func before(first bool) int {
	if first {
		return -1
	}
	return 1
}

// read tells in which form a field says which option is right.
func (o *options) read(p *place) chosen {
	c := chosen{place: p}
	var n [forms]int
	rows, low, high, last := 0, 1<<30, -1, false // last: a number is that of the last option
	for i, v := range p.values {
		choices := o.rows[i]
		if len(choices) == 0 {
			continue
		}
		rows++
		if !says(v) || v.IsObject() {
			continue
		}
		values := []gjson.Result{v}
		if v.IsArray() {
			values = v.Array()
		}
		if ones := marks(values); ones >= 0 && len(values) == len(choices) {
			if ones == 1 {
				n[byMark]++
			}
			continue
		}
		c.list = c.list || len(values) > 1
		for f := byLabel; f < byMark; f++ {
			if !slices.ContainsFunc(values, func(v gjson.Result) bool { return !says(v) || !names(f, v, choices) }) {
				n[f]++
			}
		}
		for _, v := range values {
			if k, err := strconv.Atoi(v.String()); err == nil {
				low, high, last = min(low, k), max(high, k), last || k == len(choices)
			}
		}
	}
	for f := range forms {
		if n[f] > n[c.form] {
			c.form = f
		}
	}
	c.share = float64(n[c.form]) / float64(max(rows, 1))
	if c.form == fromZero && low > 0 && !last {
		c.doubt = fmt.Sprintf("%s counts the options from %d to %d, never 0; taken to count from 0; second guess: from 1, which is gold: %q", p.path, low, high, c.number()+" - 1")
	}
	return c
}

// marks counts the ones among values that are all 0 or 1; -1 where others are.
func marks(values []gjson.Result) (ones int) {
	for _, v := range values {
		switch v.Raw {
		case "1":
			ones++
		case "0":
		default:
			return -1
		}
	}
	return ones
}

// names reports that a value names one of the choices in a form.
func names(f form, v gjson.Result, choices []schema.Choice) bool {
	text := strings.TrimSpace(v.String())
	switch f {
	case byLabel:
		return slices.ContainsFunc(choices, func(c schema.Choice) bool { return strings.EqualFold(c.Label, strings.Trim(text, "().")) })
	case byText:
		return slices.ContainsFunc(choices, func(c schema.Choice) bool { return strings.EqualFold(strings.TrimSpace(c.Text), text) })
	}
	k, err := strconv.Atoi(text)
	if f == fromOne {
		k--
	}
	return err == nil && k >= 0 && k < len(choices)
}

// says is what the recipe says of the field.
func (c chosen) says() string {
	switch c.form {
	case fromOne:
		return c.number() + " - 1"
	case byMark:
		return "findIndex(" + c.term + ", # == 1)"
	case fromZero:
		if number := c.number(); number != c.term {
			return number
		}
	}
	return c.source
}

// number is the field as a number.
func (c chosen) number() string {
	if c.mostly(isString) {
		return "int(" + c.term + ")"
	}
	return c.term
}
