package chat

import (
	"strings"
	"testing"
	"time"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// A run that takes too long ends by itself, and does not go on behind the caller's back.
func TestLateRunsEnd(t *testing.T) {
	for title, source := range map[string]string{
		"one that sets":          `{% for i in range(1000) %}{% set x = i %}{% endfor %}`,
		"one that calls a macro": `{% macro f() %}{% endmacro %}{% for i in range(1000) %}{{ f() }}{% endfor %}`,
	} {
		tmpl, err := Parse(source, Tokens{})
		if err != nil {
			t.Fatal(err)
		}
		for _, late := range []bool{false, true} {
			s := &state{text: maxText, until: time.Now().Add(time.Hour)}
			if late {
				s.until = time.Now().Add(-time.Second)
			}
			b := bounded{s: s}
			err := tmpl.program.Execute(&b, exec.NewContext(map[string]any{stateName: s}))
			if late && (err == nil || s.err == nil || !strings.Contains(s.err.Error(), "does not end")) || !late && err != nil {
				t.Errorf("%s, late %v: %v", title, late, err)
			}
		}
	}
}
