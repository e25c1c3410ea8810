package data

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// put writes a file of a name and gives its path.
func put(t testing.TB, name string, b []byte) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// FuzzRecords reads texts as rows, one a line or as JSON lists. Places lie in the text and
// go forward.
func FuzzRecords(f *testing.F) {
	for _, s := range []string{
		`{"a":1}` + "\n" + `{"a":2}` + "\r\n", "[\n{\"a\":1},\n{\"b\":[1,\n2]}]", "{\n\"a\": 1\n}\n{\"b\": 2}", "\ufeff[1,\"x\",null", `[[[[1]]]]`,
		"{\"a\":\"x\ny\"}", "[{\"a\":\n", `{"a":1}{"b":2}`, "[]]][[", strings.Repeat("[", 70_000), "{\"a\": {\n" + strings.Repeat("{", 1000),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		alloctest.Within(t, len(text), 100, 2<<20, func() {
			last := place{}
			for row, err := range records(strings.NewReader(text)) {
				if err == nil && row.line < last.line || row.line > strings.Count(text, "\n")+1 || row.row < 0 {
					t.Fatalf("row at %+v behind %+v", row.place, last)
				}
				last = row.place
				if err == nil && len(row.text) == 0 {
					t.Fatalf("an empty row at %+v", row.place)
				}
				if gjson.ValidBytes(row.text) && bytes.ContainsAny(row.text, "\n") {
					t.Fatalf("a row of several lines: %q", row.text)
				}
			}
		})
	})
}

// FuzzOpenText reads bytes as files under any name that tells a format.
func FuzzOpenText(f *testing.F) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write([]byte("{\"a\":1}\n")) //nolint:errcheck // to memory
	w.Close()                      //nolint:errcheck // to memory
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	for i, b := range [][]byte{gz.Bytes(), z.EncodeAll([]byte("a,b\n1,2\n"), nil), []byte("PK\x03\x04"), []byte("\x28\xb5\x2f\xfd\xa4\x00\x00\x00\x80"), gz.Bytes()[:12], []byte("a\tb\n1\n")} {
		f.Add(b, i)
	}
	names := []string{"x.jsonl", "x.csv", "x.tsv", "x.json.gz", "x.csv.zst"}
	f.Fuzz(func(t *testing.T, b []byte, name int) {
		path := put(t, names[uint(name)%uint(len(names))], b)
		// A window of zstd may take memory that the file does not.
		alloctest.Within(t, len(b), 400*maxRatio, maxWindow+8<<20, func() {
			rows := 0
			err := eachLineOf(t.Context(), file{path: path}, func(place, []byte) error {
				if rows++; rows > 1_000_000 {
					return errors.New("enough")
				}
				return nil
			})
			if err != nil && err.Error() != "enough" && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
		})
	})
}

// FuzzScripts reads lines as rows of the scripts, as their correct paths and as what
// llm_judge left.
func FuzzScripts(f *testing.F) {
	for _, s := range []string{
		`{"id":"1","question":"q","answer":"#### 2","prompts":["a"],"responses":["b"],"preds":["2"],"correct_flags":[1]}`,
		`{"qid":7,"question":"q","answer":true,"prompt":"p","response":"r","pred":"yes","correct":0}`,
		`{"id":"1","prompts":["a"],"responses":["b"],"judge_replies":["no"]}`, `{"prompts":{},"responses":[[]]}`, strings.Repeat(`{"prompts":[`, 5000),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.ContainsAny(line, "\n") {
			return
		}
		path := put(t, "a.correct.jsonl", line)
		s := scriptFile{task: "gsm8k", split: "train", rows: file{path: "a.jsonl"}, correct: file{path: path}, valid: file{path: path}}
		im := &scriptsImporter{}
		alloctest.Within(t, len(line), 500, 2<<20, func() {
			for _, name := range []string{"gsm8k", "strategy_qa"} {
				task, err := declaredTask(name, nil)
				if err != nil {
					t.Fatal(err)
				}
				if row, err := im.row(s, task, line); err == nil {
					if _, err := row.AppendJSON(nil); err != nil || row.ID == "" {
						t.Errorf("%+v: %v", row, err)
					}
				}
			}
			if _, err := judgements(t.Context(), s); err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
			if _, err := im.correctOnly(t.Context(), s); err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
		})
	})
}

// FuzzRouterLog reads logs of the training scripts.
func FuzzRouterLog(f *testing.F) {
	f.Add([]byte(`{"sample":0,"cot_idx_0":1,"route_0":0,"cot_idx_1":2,"route_1":1}`+"\n"), false)
	f.Add([]byte(`{"student1":{"17-2":0.5},"student2":{"0-0":1}}`), true)
	f.Add([]byte(`{"student1":{"-1":0.5},"student2":[]}`), true)
	f.Add([]byte(strings.Repeat(`[`, 20_000)), true)
	f.Fuzz(func(t *testing.T, b []byte, weights bool) {
		name := "router_logs_epoch1.jsonl"
		if weights {
			name = "cot_weights_epoch1.json"
		}
		path := put(t, name, b)
		got := outputOf(t, ImportRouterLog, map[string]any{"root": path}, "router_log")
		for line := range bytes.Lines(got) {
			v := gjson.ParseBytes(line)
			if s := v.Get("student").String(); !weights && s != "student1" && s != "student2" || v.Get("path").Int() < 0 {
				t.Errorf("%s", line)
			}
		}
	})
}

// outputOf runs a stage without inputs and gives the file of one output, nil if it failed.
func outputOf(t testing.TB, typ *stage.Type, config map[string]any, port string) []byte {
	reg, err := stage.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	cfg, errs := typ.Decode(config)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	b, err := cfg.JSON()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), port)
	task := stage.Task{Type: typ.Type, Version: typ.Version, Config: b, Outputs: map[string]string{port: out}, WorkDir: t.TempDir()}
	if _, err := reg.Run(t.Context(), task, stage.Services{}); err != nil {
		return nil
	}
	rows, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// FuzzMatchPath compares the match with one by trial, and bounds its time.
func FuzzMatchPath(f *testing.F) {
	f.Add("**/*.jsonl", "a/train/b.jsonl", false)
	f.Add("**/.h/**/x*", ".h/.h/xy", true)
	f.Add("*/**/b.enriched.jsonl", "a/train/b.enriched.jsonl", true)
	f.Add(strings.Repeat("**/", 40)+"x", strings.Repeat("a/", 60)+"y", true)
	f.Add(strings.Repeat("**/a/", 20)+"x", strings.Repeat("a/", 60)+"y", true)
	var slow func(pattern, segs []string, train bool) bool
	slow = func(pattern, segs []string, train bool) bool {
		if len(pattern) == 0 || len(segs) == 0 {
			return len(pattern) == len(segs)
		}
		dir := len(segs) > 1
		barred := strings.HasPrefix(segs[0], ".") || dir && segs[0] == trainDir && !train
		if pattern[0] == "**" {
			return slow(pattern[1:], segs, train) || dir && !barred && slow(pattern, segs[1:], train)
		}
		return matchSegment(pattern[0], segs[0], dir, barred) && slow(pattern[1:], segs[1:], train)
	}
	f.Fuzz(func(t *testing.T, pattern, name string, train bool) {
		if len(pattern)+len(name) > 400 || strings.Contains("/"+name+"/", "//") {
			return
		}
		p, segs := strings.Split(pattern, "/"), strings.Split(name, "/")
		got := matchPath(p, segs, train)
		if len(segs) < 7 && len(p) < 7 && got != slow(p, segs, train) {
			t.Errorf("%q on %q: %v", pattern, name, got)
		}
	})
}
