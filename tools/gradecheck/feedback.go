package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
)

// feedback feeds each row's gold back as the response, bare, in a sentence and
// in a box; each must grade as correct.
func feedback(path string) ([]*tally, error) {
	task := filepath.Base(filepath.Dir(path))
	if !answer.Known(task) {
		return nil, nil
	}
	t := &tally{name: task + "/" + strings.TrimSuffix(filepath.Base(path), ".jsonl")}
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
	return []*tally{t}, err
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
