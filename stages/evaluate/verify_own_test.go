package evaluate

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stagetest"
)

func TestVerifyExprGolden(t *testing.T) { stagetest.Golden(t, VerifyExpr) }

func TestVerifyOwnConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		config      map[string]any
		field, want string
	}{
		{map[string]any{}, "correct", "required"},
		{map[string]any{"correct": "perd == gold"}, "correct", `column 1 of the expression: unknown field "perd"; did you mean "pred"?`},
		{map[string]any{"correct": "len(pred)"}, "correct", "it must give true or false"},
		{map[string]any{"correct": `any(golds, lower(#) == )`}, "correct", `column 24`},
	} {
		_, errs := VerifyExpr.Decode(tc.config)
		if len(errs) == 0 || strings.Join(errs[0].Path, ".") != tc.field && len(tc.config) > 0 || !strings.Contains(errs[0].Error(), tc.want) {
			t.Errorf("%v: got %v, want %s: %s", tc.config, errs, tc.field, tc.want)
		}
	}
	for _, tc := range []struct {
		config      map[string]any
		field, want string
	}{
		{map[string]any{"command": []any{}}, "command", "needs a program"},
		{map[string]any{"command": []any{"bin/check"}}, "command.0", "list the file under files"},
		{map[string]any{"command": []any{"sh", "{files.0}"}}, "command.1", "files has no number 0"},
		{map[string]any{"command": []any{"x"}, "memory": "1 GB"}, "memory", "as in 1GiB"},
		{map[string]any{"command": []any{"x"}, "env": map[string]any{"A=B": "1"}}, "env.A=B", "not the name"},
	} {
		_, errs := VerifyExec.Decode(tc.config)
		if len(errs) == 0 || strings.Join(errs[0].Path, ".") != tc.field || !strings.Contains(errs[0].Error(), tc.want) {
			t.Errorf("%v: got %v, want %s: %s", tc.config, errs, tc.field, tc.want)
		}
	}
}

func TestVerifyExecMemory(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1GiB": 1 << 30, "1.5 KiB": 1536, "512MiB": 512 << 20} {
		if got, err := (verifyExecConfig{Memory: text}).memory(); err != nil || got != want {
			t.Errorf("%q: %d %v", text, got, err)
		}
	}
}
