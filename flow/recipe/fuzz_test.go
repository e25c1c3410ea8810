package recipe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// FuzzParse: no input panics, a rejected recipe says where, and every
// diagnostic can be rendered.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, "n=1")
	}
	f.Add([]byte(demo), "teacher=[")
	f.Add([]byte("stages: {s: {uses: x, with: {v: \"\\u00e9 ${{ params.a }}\"}}}"), "=")
	f.Add([]byte("params: {n: 1}\nstages: {s: {uses: x, when: 'params.n in [1]'}}"), "n=2")
	f.Fuzz(func(t *testing.T, src []byte, set string) {
		if len(src) > 1<<14 {
			return
		}
		var r *Recipe
		var diags diag.List
		alloctest.Within(t, len(src)+len(set), 50_000, 512<<20, func() {
			r, diags = Parse("dir/r.yaml", src, Options{
				Set:       []string{set},
				LookupEnv: func(string) (string, bool) { return "", false },
				ReadFile:  func(string) ([]byte, error) { return nil, os.ErrNotExist },
			})
		})
		if r == nil {
			t.Fatal("no recipe")
		}
		var b strings.Builder
		if err := diags.Render(&b, r.Sources); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(src), "\n")
		for _, d := range diags {
			at := d.Span.Start
			if at.File == "" || d.Summary == "" {
				t.Errorf("no place or text: %+v", d)
			}
			if at.File == "dir/r.yaml" && (at.Line < 0 || at.Line > len(lines) || at.Line > 0 && (at.Col < 0 || at.Col > len(lines[at.Line-1])+1)) {
				t.Errorf("%d:%d is outside the text: %+v", at.Line, at.Col, d)
			}
		}
		for _, s := range r.Stages {
			if s.With != nil && s.With.Kind != Map {
				t.Errorf("`with` of %s is a %s", s.Name, s.With.Kind)
			}
			_ = s.With.Interface()
		}
	})
}
