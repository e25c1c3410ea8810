package data

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
)

// sharedData is the folder of the real data sets, which are not part of the
// repository: DISTILLFLOW_SHARED, or ../shared beside the repository.
func sharedData(t *testing.T) string {
	t.Helper()
	root := os.Getenv("DISTILLFLOW_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	dir := filepath.Join(root, "data", "datasets")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no real data sets here; set DISTILLFLOW_SHARED to the folder that holds data/datasets")
	}
	return dir
}

// TestScanRealData scans every row of the real sets and checks that nothing of
// it is lost: ids, texts, choices, and every other field byte for byte.
func TestScanRealData(t *testing.T) {
	dir := sharedData(t)
	for _, task := range []string{"gsm8k", "math", "arc_challenge", "commonsense_qa", "date", "anli", "strategy_qa", "table_mwp"} {
		for _, split := range []string{"train", "test"} {
			t.Run(task+"/"+split, func(t *testing.T) { scanReal(t, task, filepath.Join(dir, task, split+".jsonl")) })
		}
	}
}

// TestScanSampleData does the same with the sample data of the repository.
func TestScanSampleData(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "recipes", "data", "*", "*.jsonl"))
	if err != nil || len(files) != 18 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		task := filepath.Base(filepath.Dir(f))
		if task == "routing" { // a task that recipes/evidence/oracle.yaml declares
			continue
		}
		t.Run(task+"/"+filepath.Base(f), func(t *testing.T) { scanReal(t, task, f) })
	}
}

func scanReal(t *testing.T, task, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	res, rows, warnings, err := run(t, t.Context(), scanConfig{Root: stage.Path(path), Task: task, OnError: "error"})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(lines) || len(warnings) > 0 {
		t.Fatalf("%d rows of %d lines, warnings %q", len(rows), len(lines), warnings)
	}
	for i, p := range rows {
		gjson.ParseBytes(lines[i]).ForEach(func(k, v gjson.Result) bool {
			same := true
			switch k.String() {
			case "id":
				same = p.ID == v.String()
			case "question":
				same = p.Question == v.String()
			case "premise":
				same = p.Premise == v.String()
			case "hypothesis":
				same = p.Hypothesis == v.String()
			case "table":
				same = p.Table == v.String()
			case "choices":
				texts := v
				if v.IsObject() {
					texts = v.Get("text")
					for j, l := range v.Get("label").Array() {
						same = same && p.Choices[j].Label == l.String()
					}
				}
				same = same && len(p.Choices) == len(texts.Array())
				for j, x := range texts.Array() {
					same = same && p.Choices[j].Text == x.String()
				}
			default:
				same = string(p.Extra.Get(k.String())) == v.Raw
			}
			if !same {
				t.Errorf("row %d: field %s was lost or changed", i+1, k)
			}
			return true
		})
		if p.GoldAnswer == "" {
			t.Errorf("row %d has no gold answer", i+1)
		}
	}
	t.Logf("%s: %d rows, %v", filepath.Base(path), len(rows), res.Stats)
}
