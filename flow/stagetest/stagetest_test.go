package stagetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
)

type word struct {
	Text string `json:"text"`
}

func (word) RecordType() string { return "word" }

type noConfig struct{}

// Estimate implements [stage.Estimator].
func (noConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return stage.Estimate{Rows: map[string]*stage.Range{"rows": q.Rows("rows")}}, nil
}

type wordIn struct {
	Rows stage.Rows[word] `port:"rows" doc:"Words."`
}

type wordOut struct {
	Rows  *stage.Writer[word] `port:"rows" doc:"The words in capitals."`
	Files *stage.OutDir       `port:"files" doc:"A file for each word."`
}

var upper = stage.Define(stage.Spec{Type: "upper", Version: 1, Class: stage.Pure, Doc: "Capitals."},
	func(_ context.Context, _ *stage.Env, _ noConfig, in wordIn, out wordOut) error {
		for w, err := range in.Rows.All() {
			if err != nil {
				return err
			}
			dir := filepath.Join(out.Files.Path, "by-letter")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, w.Text[:1]), []byte(w.Text), 0o644); err != nil {
				return err
			}
			if err := out.Rows.Write(word{strings.ToUpper(w.Text)}); err != nil {
				return err
			}
		}
		return nil
	})

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGoldenUpdateThenPass(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t, "testdata/upper", map[string]string{
		"good/rows.in.jsonl":     `{"text":"ant"}` + "\n" + `{"text":"bee"}` + "\n",
		"good/files.out/.remove": "",
		"bad/rows.in.jsonl":      "nonsense\n",
	})
	t.Setenv("DISTILLFLOW_UPDATE", "1")
	Golden(t, upper)
	for name, want := range map[string]string{
		"good/rows.out.jsonl":        `{"text":"ANT"}` + "\n" + `{"text":"BEE"}` + "\n",
		"good/files.out/by-letter/a": "ant",
		"bad/error.txt":              "rows.in.jsonl:1: invalid character 'o' in literal null (expecting 'u')\n",
		"version":                    "1\n",
	} {
		b, err := os.ReadFile(filepath.Join("testdata/upper", name))
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	if _, err := os.Stat("testdata/upper/good/files.out/.remove"); err == nil {
		t.Error("a golden that the stage does not write any more must go")
	}
	t.Setenv("DISTILLFLOW_UPDATE", "")
	Golden(t, upper)
}

// A stage that turns rows into rows must estimate their number; one that writes
// a folder need not.
func TestKeepsRecords(t *testing.T) {
	files := stage.Define(stage.Spec{Type: "files", Version: 1, Class: stage.Pure, Doc: "Files."},
		func(context.Context, *stage.Env, struct{}, wordIn, struct {
			Files *stage.OutDir `port:"files" doc:"A folder."`
		}) error {
			return nil
		})
	if !keepsRecords(upper) || keepsRecords(files) {
		t.Errorf("upper: %v, files: %v", keepsRecords(upper), keepsRecords(files))
	}
}

// What the goldens do not say must be found, and only what they hold compared.
func TestCompared(t *testing.T) {
	got := map[string]string{"rows.out.jsonl": "x\n", "files.out/a": "1", "files.out/b": "2"}
	for _, c := range []struct {
		name  string
		files map[string]string
		equal bool
	}{
		{"same", map[string]string{"rows.out.jsonl": "x\n", "files.out/a": "1", "files.out/b": "2"}, true},
		{"line ends of Windows", map[string]string{"rows.out.jsonl": "x\r\n", "files.out/a": "1", "files.out/b": "2"}, true},
		{"no golden folder", map[string]string{"rows.out.jsonl": "x\n"}, true},
		{"other rows", map[string]string{"rows.out.jsonl": "y\n"}, false},
		{"rows without golden", map[string]string{"files.out/a": "1", "files.out/b": "2"}, false},
		{"other file", map[string]string{"rows.out.jsonl": "x\n", "files.out/a": "1", "files.out/b": "3"}, false},
		{"missing file", map[string]string{"rows.out.jsonl": "x\n", "files.out/a": "1"}, false},
		{"file too many", map[string]string{"rows.out.jsonl": "x\n", "files.out/a": "1", "files.out/b": "2", "files.out/c/d": "4"}, false},
		{"an error was expected", map[string]string{"error.txt": "boom\n"}, false},
	} {
		dir := t.TempDir()
		writeFiles(t, dir, c.files)
		want, part, err := golden{typ: upper}.read(dir, got)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, part); (d == "") != c.equal {
			t.Errorf("%s: equal is %v, want %v:\n%s", c.name, d == "", c.equal, d)
		}
	}
	if len(got) != 3 {
		t.Error("the stage's own map was changed")
	}
}
