package prompt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stagetest"
)

func TestWrapCoTGolden(t *testing.T) { stagetest.Golden(t, WrapCoT) }

func TestWrapCoTConfig(t *testing.T) {
	tpl := func(name, text string) map[string]any { return map[string]any{name: text} }
	for name, c := range map[string]struct {
		tree any
		want []string
	}{
		"defaults":            {map[string]any{}, nil},
		"own style":           {map[string]any{"styles": []any{"mine"}, "templates": tpl("mine", "{question}")}, nil},
		"overridden, unused":  {map[string]any{"styles": []any{"cot"}, "templates": tpl("tree", "{core}")}, nil},
		"no styles":           {map[string]any{"styles": []any{}}, []string{"styles: name at least one"}},
		"unknown style":       {map[string]any{"styles": []any{"cto"}}, []string{`styles.0: there is no style "cto"`}},
		"twice":               {map[string]any{"styles": []any{"cot", "cot"}}, []string{`styles.1: style "cot" is listed twice`}},
		"no question":         {map[string]any{"templates": tpl("cot", "Think.")}, []string{"templates.cot: the template never shows the question"}},
		"empty template":      {map[string]any{"templates": tpl("cot", "")}, []string{"templates.cot: the template never shows"}},
		"unknown placeholder": {map[string]any{"templates": tpl("cot", "{core} {anwser}")}, []string{"unknown placeholder {anwser}"}},
		"unused template":     {map[string]any{"templates": tpl("mine", "{core}")}, []string{`templates.mine: no style "mine"`}},
		"unknown task":        {map[string]any{"core": tpl("gsm", "{question}")}, []string{`core.gsm: there is no task "gsm"`}},
		"core":                {map[string]any{"core": tpl("date", "{question}")}, []string{"core.date: a core prompt of date needs the placeholder {choices}"}},
		"negative n":          {map[string]any{"n": -1}, []string{"n: -1 is out of range"}},
		"several":             {map[string]any{"styles": []any{"a", "b"}, "core": tpl("x", "")}, []string{"styles.0", "styles.1", "core.x"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := WrapCoT.Decode(c.tree)
			if len(errs) != len(c.want) {
				t.Fatalf("%d errors, want %d: %v", len(errs), len(c.want), errs)
			}
			for i, w := range c.want {
				if !strings.Contains(fmt.Sprint(errs[i]), w) {
					t.Errorf("error %d is %q, want %q", i, errs[i], w)
				}
			}
		})
	}
}
