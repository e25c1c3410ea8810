package hub

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

const gsmCard = `---
license: mit
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: [main/test-*]
- config_name: socratic
  data_files:
  - split: train
    path: socratic/train-*
---
# A data set
`

func TestDataFiles(t *testing.T) {
	gsm := []string{"README.md", "main/train-00000-of-00002.parquet", "main/train-00001-of-00002.parquet", "main/test-00000-of-00001.parquet", "socratic/train-00000-of-00001.parquet"}
	for title, c := range map[string]struct {
		card  string
		files []string
		path  string
		split string
		want  string // names, or the start of the error after the reference
		fails bool
	}{
		"card, main":           {card: gsmCard, files: gsm, split: "test", want: "main/test-00000-of-00001.parquet"},
		"card, train by rule":  {card: gsmCard, files: gsm, want: "main/train-00000-of-00002.parquet main/train-00001-of-00002.parquet"},
		"card, named":          {card: gsmCard, files: gsm, path: "socratic", split: "train", want: "socratic/train-00000-of-00001.parquet"},
		"card, no split":       {card: gsmCard, files: gsm, split: "dev", want: `configuration main has no split "dev"; it has train, test`, fails: true},
		"card, default":        {card: "---\nconfigs:\n- {config_name: a, data_files: a.jsonl}\n- {config_name: b, default: true, data_files: [b.jsonl]}\n---\n", files: []string{"README.md", "a.jsonl", "b.jsonl"}, want: "b.jsonl"},
		"card, undecided":      {card: "---\nconfigs:\n- {config_name: a, data_files: a.jsonl}\n- {config_name: b, data_files: b.jsonl}\n---\n", files: []string{"README.md", "a.jsonl", "b.jsonl"}, want: "the data set has several configurations", fails: true},
		"card says nothing":    {card: "# hello\n", files: []string{"README.md", "data/train-00000-of-00001.parquet"}, want: "data/train-00000-of-00001.parquet"},
		"broken card":          {card: "---\n{{{\n---\n", files: []string{"README.md", "train.jsonl"}, want: "train.jsonl"},
		"folders without card": {files: gsm[1:], split: "test", want: "main/test-00000-of-00001.parquet"},
		"folder by path":       {files: gsm[1:], path: "socratic", want: "socratic/train-00000-of-00001.parquet"},
		"root files":           {files: []string{"train.jsonl", "test.jsonl", "notes.txt"}, split: "test", want: "test.jsonl"},
		"two formats":          {files: []string{"train.jsonl", "train.parquet"}, want: "train.parquet"},
		"compressed":           {files: []string{"train.jsonl.gz", "train.jsonl.zst", "train.json", "dataset_infos.json"}, want: "train.jsonl.zst"},
		"a JSON list":          {files: []string{"data/train.json", "config.json"}, want: "data/train.json"},
		"compressed shards":    {files: []string{"train-00001-of-00002.jsonl.gz"}, want: "1 of the 2 files", fails: true},
		"card, compressed":     {card: "---\nconfigs:\n- {config_name: a, data_files: a.json.gz}\n---\n", files: []string{"README.md", "a.json.gz"}, want: "a.json.gz"},
		"folder of a split":    {files: []string{"train/0.parquet", "train/1.parquet", "dev/0.parquet"}, want: "train/0.parquet train/1.parquet"},
		"another word":         {files: []string{"data/dev.jsonl"}, split: "validation", want: "data/dev.jsonl"},
		"odd split":            {files: []string{"data/hard-00000-of-00001.parquet"}, split: "hard", want: "data/hard-00000-of-00001.parquet"},
		"no such split":        {files: []string{"train.jsonl"}, split: "test", want: `there is no split "test"; there are train`, fails: true},
		"nothing":              {files: []string{"notes.txt"}, want: "no .parquet, .jsonl, .json, .csv or .tsv (also .gz and .zst) files", fails: true},
		"a file":               {files: gsm[1:], path: "main/test-00000-of-00001.parquet", want: "main/test-00000-of-00001.parquet"},
		"a file of no rows":    {files: []string{"a.txt"}, path: "a.txt", want: "only .parquet, .jsonl", fails: true},
		"a missing shard":      {files: []string{"train-00001-of-00002.parquet"}, want: "1 of the 2 files", fails: true},
	} {
		t.Run(title, func(t *testing.T) {
			repo := &hubtest.Repo{Kind: "dataset", Name: "acme/data", Files: map[string][]byte{}}
			for _, f := range c.files {
				repo.Files[f] = []byte("x")
			}
			if c.card != "" {
				repo.Files["README.md"] = []byte(c.card)
			}
			s := start(t, repo)
			snap, err := client(t, Options{Endpoint: s.URL}).Resolve(t.Context(), Ref{Kind: Dataset, Repo: "acme/data", Path: c.path, Split: c.split})
			if err != nil {
				t.Fatal(err)
			}
			files, err := snap.DataFiles(t.Context())
			if c.fails {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "hf://datasets/acme/data") {
					t.Errorf("error %v, want %s", err, c.want)
				}
				return
			}
			var names []string
			for _, f := range files {
				names = append(names, f.Path)
			}
			if got := strings.Join(names, " "); err != nil || got != c.want {
				t.Errorf("%s, %v; want %s", got, err, c.want)
			}
		})
	}
}
