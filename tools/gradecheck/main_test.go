package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// data writes files below a temporary folder and returns it.
func data(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const onePair = `{"id":"p1","gold":"1/2","pred":"0.5","expected":true}` + "\n"

func TestCheckFailsWithoutData(t *testing.T) {
	pairs := map[string]string{"math/pairs.jsonl": onePair}
	for name, c := range map[string]struct {
		data, only string
		want       []string
	}{
		"no folder":        {data: filepath.Join(t.TempDir(), "absent"), want: []string{"absent", "no such file", "-data"}},
		"empty folder":     {data: t.TempDir(), want: []string{"math/pairs.jsonl", "outputs/*.jsonl", "datasets/*/*.jsonl", "-data"}},
		"a level too deep": {data: filepath.Join(data(t, pairs), "math"), want: []string{"math/pairs.jsonl", "-data"}},
		"empty files":      {data: data(t, map[string]string{"math/pairs.jsonl": "\n"}), want: []string{"math/pairs.jsonl", "-data"}},
		"-only":            {data: data(t, pairs), only: "no-such-source", want: []string{"no-such-source", "-only", "math/pairs.jsonl"}},
	} {
		var out strings.Builder
		err := check(&out, c.data, c.only, false)
		if err == nil {
			t.Errorf("%s: no error, printed:\n%s", name, &out)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the error lacks %q: %v", name, w, err)
			}
		}
		if out.Len() > 0 {
			t.Errorf("%s: printed a table:\n%s", name, &out)
		}
	}
}

func TestCheckNamesWhatIsLeftOut(t *testing.T) {
	dir := data(t, map[string]string{
		"math/pairs.jsonl":             onePair,
		"math/issue_cases.jsonl":       "",
		"datasets/no_task/train.jsonl": `{"id":"r1"}` + "\n",
		"datasets/gsm8k/train.jsonl":   `{"id":"r2","question":"2+3?","answer":"2+3=5\\n#### 5"}` + "\n",
	})
	var out strings.Builder
	if err := check(&out, dir, "", false); err != nil {
		t.Fatal(err)
	}
	_, left, _ := strings.Cut(out.String(), "left out:")
	for _, w := range []string{"math/issue_cases.jsonl", "math/latex2sympy.jsonl", "math/stack_answertests.jsonl", "outputs/*.jsonl", "no_task"} {
		if !strings.Contains(left, w) {
			t.Errorf("%s is not named as left out:\n%s", w, &out)
		}
	}
	for _, w := range []string{"math/pairs.jsonl", "gsm8k"} {
		if strings.Contains(left, w) {
			t.Errorf("%s is named as left out:\n%s", w, &out)
		}
	}

	out.Reset()
	if err := check(&out, dir, "pairs", false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "left out:") {
		t.Errorf("-only leaves out what it was asked to:\n%s", &out)
	}
}

func TestCheckCountsWrongLabelsApartAndPrintsRecall(t *testing.T) {
	dir := data(t, map[string]string{
		"answers2/made.jsonl": `{"id":"m1","gold":"1/4","pred":"0.25","expected":true}
{"id":"m2","gold":"1/4","pred":"0.26","expected":true}
{"id":"m3","gold":"1/4","response":"It is a quarter.\n\nThe answer is 0.5.","expected":false}
{"id":"m4","gold":"3","pred":"4","expected":true}
`,
		"answers2/disagreements.jsonl": `{"id":"m4","verdict":"label wrong"}
{"id":"m2","verdict":"policy"}
`,
		"cases/made.jsonl": `{"id":"c1","task":"arc_challenge","gold":"B","response":"Answer: B","expected":true,"choices":[{"label":"A","text":"ice"},{"label":"B","text":"steam"}]}
{"id":"c2","task":"gsm8k","gold":"8","response":"The answer is 9.","expected":false}
`,
	})
	var out strings.Builder
	if err := check(&out, dir, "", false); err != nil {
		t.Fatal(err)
	}
	table := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"answers2/made 3 2 66.67 50.00 ", "answers2/made (label wrong) 1 0 0.00 0.00 ", "cases/made 2 2 100.00 100.00 "} {
		if !strings.Contains(table, want) {
			t.Errorf("no row %q in\n%s", want, &out)
		}
	}
}
