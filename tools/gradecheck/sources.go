package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
	preset "github.com/distillflow/distillflow/internal/task"
)

// lines calls f for every JSON line of a file.
func lines[T any](path string, f func(T) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<20)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if len(line) > 1 {
			var v T
			// Python writes bare Infinity and NaN.
			for _, w := range []string{"-Infinity", "Infinity", "NaN"} {
				line = bytes.ReplaceAll(line, []byte(w), []byte("0"))
			}
			if err := json.Unmarshal(line, &v); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			if err := f(v); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type pair struct {
	ID, Source, Test, Gold, Pred, Note, Opts string
	Expected                                 bool
}

func (p *pair) UnmarshalJSON(b []byte) error {
	var x struct {
		ID, Source, Test, Gold, Pred string
		Note                         string
		Expected                     bool
		Opts                         json.RawMessage
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	*p = pair{ID: x.ID, Source: x.Source, Test: x.Test, Gold: x.Gold, Pred: x.Pred, Note: x.Note, Expected: x.Expected, Opts: string(x.Opts)}
	return nil
}

// statement reduces one side of a pair to its answer: short mathematics stays
// as it is, prose goes through extraction.
func statement(s string, choice bool) string {
	q := answer.Question{Task: "math"}
	if choice {
		q = answer.Question{Task: "arc_challenge"}
		for c := 'A'; c <= 'E'; c++ {
			q.Choices = append(q.Choices, answer.Option{Label: string(c)})
		}
	}
	p := answer.Extract(q, s, answer.Options{Fallback: "last_number"})
	switch p.Rule {
	case "boxed", "hash", "answer_is", "bold":
		return p.Answer
	}
	t := strings.TrimSpace(s)
	mixed := strings.ContainsAny(t, "$") && t[0] != '$'
	if n, err := mathverify.Parse(s); err == nil && !choice && !mixed && n.Kind != mathverify.KText && !prose(s) && (strings.Contains(s, `\text`) || !wordy(n)) {
		return s
	}
	if p.Answer != "" {
		return p.Answer
	}
	return s
}

// wordy reports words that were read as a factor or an element.
func wordy(n *mathverify.Node) bool {
	for _, a := range n.Args {
		if a.Kind == mathverify.KText && n.Kind != mathverify.KRel && n.Kind != mathverify.KList || wordy(a) {
			return true
		}
	}
	return false
}

// prose reports several words outside of LaTeX commands.
func prose(s string) bool {
	words := 0
	for _, f := range strings.Fields(s) {
		if len(f) > 2 && strings.Trim(f, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,:'") == "" {
			words++
		}
	}
	return words > 2
}

func pairs(path string) ([]*score, error) {
	base := filepath.Base(path)
	clean, noted := &score{name: base}, &score{name: base + " (disputed)"}
	err := lines(path, func(p pair) error {
		start := time.Now()
		choice := strings.Contains(p.Opts, "NativeLetters") || len(p.Gold) == 1 && p.Gold >= "A" && p.Gold <= "E" && strings.Contains(p.Pred, " ")
		g, x := statement(p.Gold, choice), statement(p.Pred, choice)
		r := mathverify.Verify(g, x, mathverify.Options{})
		d := time.Since(start)
		t := clean
		if p.Note != "" && base == "pairs.jsonl" {
			t = noted
		}
		t.add(p.Expected, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, d, func() string {
			return fmt.Sprintf("%s gold %q pred %q -> [%s | %s] %s: %s %s (%s)", p.ID, tail(p.Gold), tail(p.Pred), tail(g), tail(x), r.Verdict, r.Reason, r.Gold+" | "+r.Pred, p.Note)
		})
		return nil
	})
	return []*score{clean, noted}, err
}

func tail(s string) string {
	if len(s) > 160 {
		return "..." + s[len(s)-160:]
	}
	return s
}

// symbolicGCD finds gcd and lcm of symbols, which SymPy reads as polynomials and
// answers mean as integers.
var symbolicGCD = regexp.MustCompile(`(gcd|lcm)\}?\([^)]*[a-z]`)

// latex checks that what the reference parser reads we read to the same value,
// and that what it refuses we do not turn into a number.
func latex(path string) ([]*score, error) {
	t, bad := &score{name: "latex2sympy"}, &score{name: "latex2sympy (refused)"}
	err := lines(path, func(p struct {
		Latex string
		Sympy string `json:"sympy_eval"`
		Error bool
	}) error {
		start := time.Now()
		if p.Error {
			n, err := mathverify.Parse(p.Latex)
			bad.add(false, err == nil && n.Kind != mathverify.KText, false, time.Since(start), func() string {
				return fmt.Sprintf("%q read as %v", p.Latex, n)
			})
			return nil
		}
		s, ok := sympy(p.Sympy)
		if !ok {
			t.skipped++
			return nil
		}
		if symbolicGCD.MatchString(p.Latex) {
			t.skip("gcd or lcm of polynomials")
			return nil
		}
		r := mathverify.Verify(p.Latex, s, mathverify.Options{})
		t.add(true, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, time.Since(start), func() string {
			return fmt.Sprintf("%q sympy %q as %q: %s %s [%s | %s]", p.Latex, p.Sympy, s, r.Verdict, r.Reason, r.Gold, r.Pred)
		})
		return nil
	})
	return []*score{t, bad}, err
}

type output struct {
	ID, Source, Task, Question, Response, Gold string
	Correct                                    *bool
	Extracted                                  *string
	Choices                                    []string
}

// outputs grades model responses and compares with the flag of their project.
func outputs(path string) ([]*score, error) {
	by := map[string]*score{}
	var order []*score
	base := strings.TrimSuffix(filepath.Base(path), ".jsonl")
	known, err := tableChoices(filepath.Join(filepath.Dir(path), "..", "datasets", "table_mwp"))
	if err != nil {
		return nil, err
	}
	err = lines(path, func(o output) error {
		t := by[o.Task]
		if t == nil {
			t = &score{name: base + "/" + o.Task}
			by[o.Task] = t
			order = append(order, t)
		}
		want, ok := false, false
		if o.Correct != nil {
			want, ok = *o.Correct, true
		} else if o.Extracted != nil {
			r := mathverify.Verify(o.Gold, *o.Extracted, mathverify.Options{})
			want, ok = r.Verdict == mathverify.Equal, true
		}
		if o.Gold == "" {
			t.skipped++
			return nil
		}
		q := outputQuestion(o)
		if o.Task == "table_mwp" {
			if c, ok := known["tabmwp-"+o.ID]; ok {
				q.Choices = c
			}
			if len(q.Choices) == 0 && !strings.ContainsAny(o.Gold[:1], "0123456789-") || strings.Contains(o.Gold, ":") && len(q.Choices) == 0 {
				t.skipped++ // an option's text, but the recording lacks the options
				return nil
			}
		}
		start := time.Now()
		p := answer.Extract(q, o.Response, answer.Options{})
		r := answer.Grade(q, p.Answer, mathverify.Options{})
		d := time.Since(start)
		if !ok {
			t.skipped++
			t.total += d
			return nil
		}
		t.add(want, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, d, func() string {
			ex := ""
			if o.Extracted != nil {
				ex = *o.Extracted
			}
			return fmt.Sprintf("%s gold %q theirs %q ours %q (%s) %s: %s | %q", o.ID, o.Gold, ex, p.Answer, p.Rule+p.Reason, r.Verdict, r.Reason, tail(o.Response))
		})
		return nil
	})
	return order, err
}

// outputQuestion builds the question of an output row; options may stand in
// the question text as "(A) text" lines.
func outputQuestion(o output) answer.Question {
	q := answer.Question{Task: o.Task, Gold: o.Gold}
	for i, c := range o.Choices {
		label, text := string(rune('A'+i)), c
		if k := strings.IndexByte(c, ')'); k > 0 && k < 3 {
			label, text = c[:k], c[k+1:]
		}
		q.Choices = append(q.Choices, answer.Option{Label: label, Text: strings.TrimSpace(text)})
	}
	if len(q.Choices) == 0 && strings.Contains(o.Question, "Options:") {
		for _, l := range strings.Split(o.Question[strings.Index(o.Question, "Options:"):], "\n") {
			if len(l) > 3 && l[0] == '(' && l[2] == ')' {
				q.Choices = append(q.Choices, answer.Option{Label: l[1:2], Text: strings.TrimSpace(l[3:])})
			} else if strings.HasPrefix(l, "- ") {
				text := strings.TrimSpace(l[2:])
				q.Choices = append(q.Choices, answer.Option{Label: text, Text: text})
			}
		}
	}
	if o.Gold == "yes" || o.Gold == "no" {
		if len(q.Choices) == 0 {
			q.Task = "strategy_qa"
		}
	}
	return q
}

// feedback feeds each row's gold back as the response, bare, in a sentence and
// in a box; each must grade as correct.
func feedback(path string) ([]*score, error) {
	task := filepath.Base(filepath.Dir(path))
	if _, ok := preset.Preset(task); !ok {
		return nil, nil
	}
	t := &score{name: task + "/" + strings.TrimSuffix(filepath.Base(path), ".jsonl")}
	err := lines(path, func(raw map[string]json.RawMessage) error {
		choices, err := rowChoices(raw["choices"])
		if err != nil {
			return err
		}
		g, err := answer.NormalizeGold(task, answer.Raw(raw), choices)
		if err != nil {
			t.add(true, false, false, 0, func() string { return fmt.Sprintf("%s: %v", raw["id"], err) })
			return nil
		}
		q := answer.Question{Task: task, Choices: choices, Gold: g.Answer}
		for _, form := range []string{"%s", "The answer is %s.", `\boxed{%s}`} {
			start := time.Now()
			text := fmt.Sprintf(form, g.Answer)
			p := answer.Extract(q, text, answer.Options{})
			r := answer.Grade(q, p.Answer, mathverify.Options{})
			t.add(true, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, time.Since(start), func() string {
				return fmt.Sprintf("%s: %q -> %q (%s) %s %s", raw["id"], text, p.Answer, p.Rule+p.Reason, r.Verdict, r.Reason)
			})
		}
		return nil
	})
	return []*score{t}, err
}

// labelWrong reads the ids that disagreements.jsonl beside path judges to have a
// wrong label; none where there is no such file.
func labelWrong(path string) (map[string]bool, error) {
	ids := map[string]bool{}
	err := lines(filepath.Join(filepath.Dir(path), "disagreements.jsonl"), func(d struct{ ID, Verdict string }) error {
		if d.Verdict == "label wrong" {
			ids[d.ID] = true
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return ids, err
}

// answers2 compares rows with a pred directly and extracts the answer of rows
// with a response.
func answers2(path string) ([]*score, error) {
	base := strings.TrimSuffix(filepath.Base(path), ".jsonl")
	good, bad := &score{name: "answers2/" + base}, &score{name: "answers2/" + base + " (label wrong)"}
	wrong, err := labelWrong(path)
	if err != nil {
		return nil, err
	}
	err = lines(path, func(row struct {
		ID, Gold, Pred, Response string
		Expected                 bool
	}) error {
		t := good
		if wrong[row.ID] {
			t = bad
		}
		start := time.Now()
		pred, rule := row.Pred, "pred"
		if row.Response != "" {
			p := answer.Extract(answer.Question{Task: "math", Gold: row.Gold}, row.Response, answer.Options{})
			pred, rule = p.Answer, p.Rule+p.Reason
		}
		r := mathverify.Verify(row.Gold, pred, mathverify.Options{})
		t.add(row.Expected, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, time.Since(start), func() string {
			return fmt.Sprintf("%s gold %q pred %q (%s) %s: %s [%s | %s] %s", row.ID, tail(row.Gold), tail(pred), rule, r.Verdict, r.Reason, r.Gold, r.Pred, tail(row.Response))
		})
		return nil
	})
	return []*score{good, bad}, err
}

// cases extracts and grades the response of a row of any task.
func cases(path string) ([]*score, error) {
	t := &score{name: "cases/" + strings.TrimSuffix(filepath.Base(path), ".jsonl")}
	err := lines(path, func(row struct {
		ID, Task, Gold, Response string
		Expected                 bool
		Choices                  []answer.Option
	}) error {
		start := time.Now()
		g, err := answer.NormalizeGold(row.Task, answer.Raw{"gold_answer": quoted(row.Gold)}, row.Choices)
		if err != nil {
			return fmt.Errorf("%s: %w", row.ID, err)
		}
		q := answer.Question{Task: row.Task, Choices: row.Choices, Gold: g.Answer}
		p := answer.Extract(q, row.Response, answer.Options{})
		r := answer.Grade(q, p.Answer, mathverify.Options{})
		t.add(row.Expected, r.Verdict == mathverify.Equal, r.Verdict == mathverify.Unknown, time.Since(start), func() string {
			return fmt.Sprintf("%s %s gold %q pred %q (%s) %s: %s [%s | %s] %q", row.ID, row.Task, g.Answer, p.Answer, p.Rule+p.Reason, r.Verdict, r.Reason, r.Gold, r.Pred, tail(row.Response))
		})
		return nil
	})
	return []*score{t}, err
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a string always has a JSON form
	return b
}

// rowChoices reads {"label": [...], "text": [...]} or a plain list.
func rowChoices(raw json.RawMessage) ([]answer.Option, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var cols struct{ Label, Text []string }
	if json.Unmarshal(raw, &cols) == nil && len(cols.Label) == len(cols.Text) && len(cols.Text) > 0 {
		out := make([]answer.Option, len(cols.Text))
		for i := range out {
			out[i] = answer.Option{Label: cols.Label[i], Text: cols.Text[i]}
		}
		return out, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("field choices: %w", err)
	}
	out := make([]answer.Option, len(list))
	for i, s := range list {
		out[i] = answer.Option{Label: string(rune('A' + i)), Text: s}
	}
	return out, nil
}

// tableChoices maps the ids of table_mwp rows to their options, which the
// recorded model outputs do not always carry.
func tableChoices(dir string) (map[string][]answer.Option, error) {
	out := map[string][]answer.Option{}
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		err := lines(p, func(raw map[string]json.RawMessage) error {
			var id string
			if err := json.Unmarshal(raw["id"], &id); err != nil {
				return fmt.Errorf("field id: %w", err)
			}
			c, err := rowChoices(raw["choices"])
			out[id] = c
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
