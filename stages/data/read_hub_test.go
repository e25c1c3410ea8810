package data

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

// gsmRow is a row of the data set as it is published.
type gsmRow struct {
	Question string `parquet:"question"`
	Answer   string `parquet:"answer"`
}

func gsmRows(from, n int) []gsmRow {
	var rows []gsmRow
	for i := range n {
		rows = append(rows, gsmRow{fmt.Sprintf("What is %d + 1? <b>\"caf\u00e9\"</b>", from+i), fmt.Sprintf("%d and 1.\n#### %d", from+i, from+i+1)})
	}
	return rows
}

func parquetBytes[T any](t testing.TB, rows []T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := parquet.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hubServer serves one data set and points the environment at it.
func hubServer(t *testing.T, repo *hubtest.Repo) *hubtest.Server {
	t.Helper()
	s := hubtest.New(repo)
	t.Cleanup(s.Close)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		t.Setenv(name, "")
	}
	return s
}

func gsmRepo(t *testing.T) *hubtest.Repo {
	return &hubtest.Repo{Kind: "dataset", Name: "openai/gsm8k", Large: []string{"main/train-00000-of-00002.parquet"}, Files: map[string][]byte{
		"README.md":                             []byte("---\nconfigs:\n- config_name: main\n  data_files:\n  - {split: train, path: main/train-*}\n  - {split: test, path: main/test-*}\n- config_name: socratic\n  data_files:\n  - {split: train, path: socratic/train-*}\n---\n"),
		"main/train-00000-of-00002.parquet":     parquetBytes(t, gsmRows(0, 100)),
		"main/train-00001-of-00002.parquet":     parquetBytes(t, gsmRows(100, 30)),
		"main/test-00000-of-00001.parquet":      parquetBytes(t, gsmRows(200, 7)),
		"socratic/train-00000-of-00001.parquet": parquetBytes(t, gsmRows(300, 3)),
	}}
}

func TestScanHub(t *testing.T) {
	repo := gsmRepo(t)
	s := hubServer(t, repo)
	c := scanConfig{Root: "hf://openai/gsm8k#train", Task: "gsm8k", OnError: "error"}
	ext, err := c.Externals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(ext) != 5 || ext[1].Aside || !ext[2].Aside || !ext[3].Aside || ext[0].Remote.SHA256 == "" || ext[0].Name != "main/train-00000-of-00002.parquet" || !strings.HasPrefix(ext[0].Path, os.Getenv("HF_HOME")) {
		t.Errorf("externals %v", ext)
	}
	est, err := c.Estimate(t.Context(), stage.Question{})
	if r := est.Rows["problems"]; err != nil || r.Min != 130 || r.Max != 130 {
		t.Errorf("estimate %v, %v", r, err)
	}
	_, rows, _, err := run(t, t.Context(), c)
	if err != nil || len(rows) != 130 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if p := rows[129]; p.Question != "What is 129 + 1? <b>\"caf\u00e9\"</b>" || p.GoldAnswer != "130" || !strings.HasPrefix(p.ID, "gsm8k-") {
		t.Errorf("the last row is %+v", p)
	}
	revs, err := c.Revisions(t.Context())
	if err != nil || len(revs) != 1 || revs[0] != (stage.Revision{Name: "hf://openai/gsm8k#train", Resolved: "hf://datasets/openai/gsm8k@" + repo.Commit() + "#train"}) {
		t.Errorf("revisions %v, %v", revs, err)
	}
	asks := 0
	for _, r := range s.Requests {
		if strings.Contains(r, "/revision/") {
			asks++
		}
	}
	if asks != 1 {
		t.Errorf("the Hub was asked %d times what main is", asks)
	}

	t.Run("rows of JSONL are the same", func(t *testing.T) {
		var b strings.Builder
		for _, r := range gsmRows(0, 130) {
			b.WriteString(`{"question":"` + strings.ReplaceAll(r.Question, `"`, `\"`) + `","answer":"` + strings.ReplaceAll(r.Answer, "\n", `\n`) + "\"}\n")
		}
		_, local, _, err := run(t, t.Context(), scanConfig{Root: stage.Path(write(t, t.TempDir(), "a.jsonl", b.String())), Task: "gsm8k", OnError: "error"})
		if err != nil || len(local) != 130 || local[77].ID != rows[77].ID {
			t.Errorf("%d rows, %v", len(local), err)
		}
	})
	t.Run("configuration, commit and file", func(t *testing.T) {
		for root, want := range map[string]int{
			"hf://openai/gsm8k/socratic#train":                           3,
			"hf://openai/gsm8k@" + repo.Commit() + "#test":               7,
			"hf://openai/gsm8k/main/test-00000-of-00001.parquet":         7,
			filepath.Join("/recipes", "hf://openai/gsm8k#test"):          7,
			"hf://datasets/openai/gsm8k@refs/pr/1/main#test":             7,
			filepath.Join("/recipes", "hf://datasets/openai/gsm8k#test"): 7,
		} {
			_, rows, _, err := run(t, t.Context(), scanConfig{Root: stage.Path(root), Task: "gsm8k", OnError: "error"})
			if err != nil || len(rows) != want {
				t.Errorf("%s: %d rows, %v", root, len(rows), err)
			}
		}
		exact := scanConfig{Root: stage.Path("hf://openai/gsm8k@" + repo.Commit()), Task: "gsm8k"}
		if revs, err := exact.Revisions(t.Context()); err != nil || len(revs) != 0 {
			t.Errorf("a commit is listed: %v, %v", revs, err)
		}
	})
	t.Run("offline", func(t *testing.T) {
		t.Setenv("HF_HUB_OFFLINE", "1")
		s.Close()
		if _, rows, _, err := run(t, t.Context(), c); err != nil || len(rows) != 130 {
			t.Errorf("%d rows, %v", len(rows), err)
		}
		c.Root = "hf://openai/other#train"
		if _, err := c.Externals(t.Context()); err == nil || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") || stage.IsFieldError(err) || !strings.HasPrefix(err.Error(), "root: ") {
			t.Error(err)
		}
	})
}

// Nested columns, optional ones and numbers of every kind become the JSON of the
// other layouts.
func TestScanParquet(t *testing.T) {
	type choices struct {
		Text  []string `parquet:"text,list"`
		Label []string `parquet:"label,list"`
	}
	type row struct {
		ID        string           `parquet:"id"`
		Question  string           `parquet:"question"`
		Choices   choices          `parquet:"choices"`
		AnswerKey *string          `parquet:"answerKey,optional"`
		Year      int32            `parquet:"year"`
		Weight    float64          `parquet:"weight"`
		Easy      bool             `parquet:"easy"`
		Image     []byte           `parquet:"image"`
		Counts    map[string]int64 `parquet:"counts"`
	}
	b := "B"
	data := parquetBytes(t, []row{
		{"x1", "Which?", choices{[]string{"one", "two"}, []string{"A", "B"}}, &b, 2026, 0.5, true, []byte{0xff, 0}, map[string]int64{"k": 1}},
		{"x2", "No answer?", choices{[]string{"one", "two"}, []string{"A", "B"}}, nil, 0, 0, false, nil, nil},
	})
	path := write(t, t.TempDir(), "arc.parquet", string(data))
	_, rows, warnings, err := run(t, t.Context(), scanConfig{Root: stage.Path(path), Task: "arc_challenge", OnError: "skip"})
	if err != nil || len(rows) != 1 || len(warnings) != 1 || !strings.Contains(warnings[0], "arc.parquet:2: ") {
		t.Fatalf("%d rows, warnings %q, %v", len(rows), warnings, err)
	}
	p := rows[0]
	if p.ID != "x1" || p.GoldAnswer != "B" || len(p.Choices) != 2 || p.Choices[1].Text != "two" {
		t.Errorf("%+v", p)
	}
	var extra []string
	for _, f := range p.Extra {
		extra = append(extra, f.Name+"="+string(f.Raw))
	}
	if got := strings.Join(extra, " "); !strings.Contains(got, `year=2026 weight=0.5 easy=true image=null counts={"k":1}`) {
		t.Errorf("further fields %s", got)
	}
}

// Damaged files are errors that name the file, whatever is damaged.
func TestScanParquetDamaged(t *testing.T) {
	good := parquetBytes(t, gsmRows(0, 50))
	dir := t.TempDir()
	for i := range 60 {
		bad := bytes.Clone(good)
		if i < 10 {
			bad = bad[:len(bad)*i/10]
		} else {
			bad[(i-10)*len(bad)/50] ^= 0x55
		}
		path := write(t, dir, fmt.Sprintf("%d.parquet", i), string(bad))
		_, _, _, err := run(t, t.Context(), scanConfig{Root: stage.Path(path), Task: "gsm8k", OnError: "error"})
		if i < 10 && err == nil || err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
