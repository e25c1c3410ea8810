package recipe

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// optionsIn reads the command line that a test recipe asks for in its leading
// comments: "# --set k=v", "# --profile p".
func optionsIn(src []byte) Options {
	opts := Options{LookupEnv: func(name string) (string, bool) { return "value of HOME", name == "HOME" }}
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, "# --set "); ok {
			opts.Set = append(opts.Set, v)
		} else if v, ok := strings.CutPrefix(line, "# --profile "); ok {
			opts.Profile = v
		}
	}
	return opts
}

// TestWrong compares the full rendering of the diagnostics of every recipe
// under testdata/wrong with its golden file.
func TestWrong(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test recipes: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			opts := optionsIn(src)
			opts.ReadFile = func(path string) ([]byte, error) { return os.ReadFile(filepath.Join("testdata/wrong", path)) }
			r, diags := Parse(filepath.Base(file), src, opts)
			if !diags.HasErrors() {
				t.Errorf("the recipe was accepted")
			}
			for _, d := range diags {
				if d.Code == "" || d.Span.Start.File == "" {
					t.Errorf("no code or file: %v", d)
				}
			}
			var out bytes.Buffer
			if err := diags.Render(&out, r.Sources); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if os.Getenv("DISTILLFLOW_UPDATE") != "" {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("diagnostics (-golden +got):\n%s", diff)
			}
		})
	}
}
