package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
	"github.com/distillflow/distillflow/internal/task"
)

// Raw holds the fields of a data set's row that may state the gold answer, as
// raw JSON values by field name (gold_answer, answer, answerKey, label,
// solution).
type Raw map[string]json.RawMessage

// Gold is a normalised gold answer.
type Gold struct {
	// Answer is the normal form: a number or expression, a choice label, one of
	// true, false and neither, or yes or no.
	Answer string
	// Field names the field it was taken from.
	Field string
	// Repaired tells that a JSON escape had broken a LaTeX command ("\boxed"
	// written with a single backslash is a backspace and "oxed") or doubled its
	// backslash.
	Repaired bool
}

// ErrNoGold is returned when a row states no gold answer.
var ErrNoGold = errors.New("the row has no gold answer")

// NormalizeGold finds and normalises the gold answer of a row of a preset. The first of
// the preset's fields for it that says something counts.
func NormalizeGold(name string, raw Raw, choices []Option) (Gold, error) {
	preset, _ := task.Preset(name)
	for _, f := range strings.Split(preset.Fields["gold"], " ?? ") {
		v := raw[f]
		if len(v) == 0 {
			continue
		}
		t, err := scalarText(v)
		if err != nil {
			return Gold{}, fmt.Errorf("field %q: %w", f, err)
		}
		if strings.TrimSpace(t) == "" {
			continue
		}
		g, err := Normalize(Question{Task: name, Choices: choices}, t)
		g.Field = f
		if err != nil {
			return g, fmt.Errorf("field %q: %w", f, err)
		}
		return g, nil
	}
	return Gold{}, ErrNoGold
}

func scalarText(v json.RawMessage) (string, error) {
	if !jsoncheck.Valid(v) {
		return "", errors.New("broken JSON value")
	}
	return ScalarText(gjson.ParseBytes(v))
}

// ScalarText gives the text of a value that states a gold answer; a list or an object
// is an error.
func ScalarText(v gjson.Result) (string, error) {
	switch v.Type {
	case gjson.Null:
		return "", nil
	case gjson.String:
		return v.Str, nil
	case gjson.True, gjson.False, gjson.Number:
		return v.Raw, nil
	}
	return "", errors.New("a gold answer must be a string, number or boolean")
}

// Normalize gives the normal form of a gold answer to q, whose Gold it does not read.
func Normalize(q Question, text string) (Gold, error) {
	text, repaired := RepairEscapes(text)
	g := Gold{Repaired: repaired}
	text = strings.TrimSpace(text)
	if q.Kind() == Text && text != "" {
		g.Answer = text
		return g, nil
	}
	if i := lastIndex(text, "####"); i >= 0 {
		text = strings.TrimSpace(text[i+4:])
	}
	if b := boxes(text); len(b) > 0 {
		text = joinBoxes(text, b).Answer
	}
	text = strings.TrimSpace(text)
	// said is what a whole solution states.
	said := func() string {
		p := Extract(q, text, Options{})
		if p.Answer == "" || p.Rule == "whole" {
			return text
		}
		return p.Answer
	}
	switch q.Kind() {
	case Number, Math:
		if strings.Contains(text, "\n") || strings.Contains(text, ". ") || !mathy(text) {
			text = said()
		}
		if t, ok := spoken(fold(text).text); ok {
			text = t
		} else if q.Kind() == Number {
			text = fold(text).text
			if _, st := readAmount(text); st == nothing && !hasDigit(text) && !slices.ContainsFunc(constants, func(c string) bool { return strings.Contains(strings.ToLower(text), c) }) {
				return g, fmt.Errorf("gold %q is not a number", text)
			}
		}
	case Choice:
		if choices := q.Choices; len(choices) > 0 {
			l, ok := q.label(text)
			if !ok && !q.all() {
				l, ok = q.label(said())
			}
			if !ok {
				return g, fmt.Errorf("gold %q is none of the row's %d choices", text, len(choices))
			}
			text = l
			if q.spec().GoldAs == "text" {
				for _, c := range choices {
					if c.Label == l {
						text = c.Text
					}
				}
			}
		}
	case Label:
		if t := q.spec(); !nli(t) {
			label, ok := q.labels().namedLabel(text)
			if !ok {
				return g, fmt.Errorf("gold %q is none of the labels %s or their other names", text, strings.Join(slices.Sorted(maps.Keys(t.Labels)), ", "))
			}
			text = label
			break
		}
		if len(text) > 20 {
			text = said()
		}
		switch strings.ToLower(text) {
		case "0", "e", "entailment", "true", "entailed":
			text = "true"
		case "1", "n", "neutral", "neither":
			text = "neither"
		case "2", "c", "contradiction", "false":
			text = "false"
		default:
			return g, fmt.Errorf("label %q is none of 0, 1, 2, entailment, neutral, contradiction, true, neither, false", text)
		}
	case YesNo:
		if len(text) > 5 {
			text = said()
		}
		switch strings.ToLower(text) {
		case "true", "yes", "1":
			text = "yes"
		case "false", "no", "0":
			text = "no"
		default:
			return g, fmt.Errorf("answer %q is neither a boolean nor yes or no", text)
		}
	}
	if text == "" {
		return g, errors.New("the gold answer is empty")
	}
	g.Answer = text
	return g, nil
}

// RepairEscapes undoes JSON escapes that have eaten the first letter of LaTeX
// commands: "\boxed" read as backspace + "oxed", "\frac" as form feed +
// "rac", "\text" as tab + "ext", "\right" as carriage return + "ight".
func RepairEscapes(s string) (string, bool) {
	if t, ok := halveBackslashes(s); ok {
		return t, true
	}
	if strings.IndexFunc(s, func(r rune) bool { return r == 8 || r == 9 || r == 12 || r == 13 }) < 0 {
		return s, false
	}
	var b strings.Builder
	hit := false
	for i := 0; i < len(s); i++ {
		r := ""
		switch s[i] {
		case 8:
			r = prefixed(s[i+1:], `\b`, "oxed", "egin", "inom", "ar", "eta", "ig")
		case 12:
			r = prefixed(s[i+1:], `\f`, "rac", "box")
		case 9:
			r = prefixed(s[i+1:], `\t`, "ext", "imes", "frac", "heta", "an")
		case 13:
			r = prefixed(s[i+1:], `\r`, "ight", "angle", "floor", "ceil")
		}
		if r == "" {
			b.WriteByte(s[i])
			continue
		}
		b.WriteString(r)
		hit = true
	}
	return b.String(), hit
}

// halveBackslashes undoes a second JSON escape: every run of backslashes in s is
// even and one of them begins a command ("\\\\frac").
func halveBackslashes(s string) (string, bool) {
	command := false
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		j := i
		for j < len(s) && s[j] == '\\' {
			j++
		}
		if (j-i)%2 == 1 {
			return s, false
		}
		for _, c := range doubled {
			command = command || strings.HasPrefix(s[j:], c)
		}
		i = j
	}
	if !command {
		return s, false
	}
	return strings.ReplaceAll(s, `\\`, `\`), true
}

// doubled are the commands by which a doubled escape is known: they make no sense
// at the start of a row of a matrix without another command in it.
var doubled = []string{"boxed", "frac", "dfrac", "sqrt", "text", "left", "begin", "pi", "cdot", "times", "infty", "circ", "le", "ge"}

func prefixed(rest, cmd string, tails ...string) string {
	for _, t := range tails {
		if strings.HasPrefix(rest, t) {
			return cmd
		}
	}
	return ""
}
