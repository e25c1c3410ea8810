package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tidwall/gjson"
)

// What docs/from-scripts.md shows works as it stands there, on a data folder and logs in the
// layout of the Python scripts: tables, rates and students without a teacher.
func TestFromScriptsPage(t *testing.T) {
	if raced {
		t.Skip("starts many processes one after the other")
	}
	recipe := readPage(t, "from-scripts.md").block(t, "yaml")
	old, err := filepath.Abs("testdata/from-scripts")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("r.yaml", []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(logs string) (rates []byte) {
		t.Helper()
		small := `students=[{name: a, d_model: 8, layers: 1, heads: 1}, {name: b, d_model: 8, layers: 1, heads: 1}]`
		args := []string{"run", "r.yaml", "--set", "data=" + filepath.Join(old, "data"), "--set", "logs=" + filepath.Join(old, logs),
			"--set", small, "--set", "epochs=1", "--set", "warmup_steps=2"}
		if status, out := runApp(t, nil, args...); status != exitOK {
			t.Fatalf("status %d\n%s", status, out)
		}
		b, err := os.ReadFile("out/rates.rates.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}

	// The scripts' own numbers over their first three epochs: docs/from-scripts.md.
	rates := run(filepath.Join("logs", "router_logs_epoch[1-3].jsonl"))
	for style, want := range map[string][2]int64{"0": {9, 10}, "1": {3, 6}, "2": {3, 8}} {
		got := gjson.GetBytes(rates, `..#(epoch==0)#|#(style=="`+style+`")#|#(student=="mistral")`)
		if got.Get("routed").Int() != want[0] || got.Get("total").Int() != want[1] {
			t.Errorf("index %s: %s, want %d of %d", style, got.Raw, want[0], want[1])
		}
	}
	table, err := os.ReadFile("out/table.table.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if all := gjson.GetBytes(table, `..#(style=="all")`); all.Get("task").Str != "gsm8k" || all.Get("paths").Int() != 6 || all.Get("correct").Int() != 5 {
		t.Errorf("the table:\n%s", table)
	}

	// The whole folder: four epochs, and the weights of one.
	rates = run("logs")
	got := gjson.GetBytes(rates, `..#(epoch==0)#|#(style=="0")#|#(student=="mistral")`)
	if got.Get("routed").Int() != 12 || got.Get("total").Int() != 14 || got.Get("weight").Num != 0.5 {
		t.Errorf("index 0 in all logs: %s", got.Raw)
	}
}
