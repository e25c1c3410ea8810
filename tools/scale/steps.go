//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
)

// step is one stage, or something that the bench makes itself. What it reads and makes
// are files and folders of the bench, by name.
type step struct {
	name string // of the stage's type, unless it is measured in several ways
	uses string
	with map[string]any
	root string              // for the config's root
	in   map[string][]string // port -> names
	out  map[string]string   // port -> name, of what later steps read

	// In place of a stage:
	make   func(dir string) error
	recipe string
	from   []string // what these read
}

func (s step) reads() []string {
	all := slices.Clone(s.from)
	for _, names := range s.in {
		all = append(all, names...)
	}
	if s.root != "" {
		all = append(all, s.root)
	}
	return all
}

type ports = map[string][]string
type kept = map[string]string
type config = map[string]any

// styles are the six of wrap-cot; their templates here are short, for the disk's sake.
var styles = []string{"cot", "code", "knowledge", "tree", "forward-backward", "plain"}

// steps lists all of them for n problems in the order in which they run.
func steps(n int, seed uint64) []step {
	templates := map[string]string{}
	for _, s := range styles {
		templates[s] = s + ": {question}"
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	list := []step{
		{name: "questions", make: func(dir string) error { return writeQuestions(filepath.Join(dir, "questions.jsonl"), n, seed) }},
		{uses: "scan", root: "questions.jsonl", with: config{"task": "gsm8k"}, out: kept{"problems": "problems"}},
		{uses: "split", in: ports{"rows": {"problems"}}, out: kept{"train": "train", "test": "test"}},
		{uses: "concat", in: ports{"rows": {"train", "test"}}},
		{uses: "sample", with: config{"n": n / 2}, in: ports{"rows": {"problems"}}},
		{uses: "wrap-cot", with: config{"styles": styles, "templates": templates}, in: ports{"problems": {"problems"}}, out: kept{"prompts": "prompts"}},
		{name: "answers", from: []string{"prompts"}, make: func(dir string) error {
			return answer(filepath.Join(dir, "prompts"), filepath.Join(dir, "replies.jsonl"), seed)
		}},
		{uses: "import", root: "replies.jsonl"},
		{name: "chain", recipe: chain, from: []string{"replies.jsonl"}},
		{uses: "extract", in: ports{"problems": {"replies.jsonl"}}, out: kept{"problems": "preds"}},
		{uses: "verify-math", in: ports{"problems": {"preds"}}},
		{uses: "verify-expr", with: config{"correct": "pred == gold"}, in: ports{"problems": {"preds"}}},
		{uses: "verify-exec", with: config{"command": []string{self, verdicts}}, in: ports{"problems": {"preds"}}},
		{name: "choices", from: []string{"preds"}, make: func(dir string) error {
			return toChoices(filepath.Join(dir, "preds"), filepath.Join(dir, "choices"))
		}},
		{uses: "verify-choice", in: ports{"problems": {"choices"}}},
		{uses: "verify", in: ports{"problems": {"preds"}}, out: kept{"all": "graded"}},
		{uses: "accuracy", in: ports{"rows": {"graded"}}, out: kept{"table": "accuracy"}},
		{uses: "filter", with: config{"paths": "correct"}, in: ports{"rows": {"graded"}}, out: kept{"rows": "kept"}},
		{uses: "sample-paths", in: ports{"rows": {"graded"}, "like": {"kept"}}},
		{uses: "derive", with: config{"set": config{"solved": "count(paths, .correct)"}}, in: ports{"rows": {"graded"}}},
		{uses: "sort", with: config{"by": []string{"count(paths, .correct) desc", "question"}}, in: ports{"rows": {"graded"}}},
		{uses: "join", with: config{"fields": []string{"paths"}}, in: ports{"rows": {"problems"}, "with": {"graded"}}},
		{uses: "exec", with: config{"command": []string{"cat"}, "stdin": "rows", "stdout": "rows"}, in: ports{"rows": {"graded"}}},
		{name: "export jsonl", uses: "export", in: ports{"rows": {"graded"}}},
		{name: "export messages", uses: "export", with: config{"layout": "messages"}, in: ports{"rows": {"graded"}}},
		{name: "export parquet", uses: "export", with: config{"format": "parquet"}, in: ports{"rows": {"graded"}}},
		{name: "export original", uses: "export", with: config{"layout": "original"}, in: ports{"rows": {"graded"}}, out: kept{"dir": "scripts/gsm8k/train"}},
		{uses: "import-scripts", root: "scripts"},
		{name: "router log", make: func(dir string) error { return writeRouterLog(filepath.Join(dir, "log"), n, seed) }},
		{uses: "posrate", in: ports{"router_log": {"log"}}, out: kept{"rates": "rates"}},
		{name: "scores", make: writeScores},
		{uses: "compare-routers", with: config{"cells": styles, "arms": []string{"learned"}}, in: ports{"oracle": oracleScores(), "logs": {"log"}}},
		{name: "script log", make: func(dir string) error {
			return writeScriptLog(filepath.Join(dir, "script-log", "router_logs_epoch1.jsonl"), n, seed)
		}},
		{uses: "import-router-log", with: config{"styles": styles}, root: "script-log"},
		{name: "metrics", make: func(dir string) error { return writeMetrics(filepath.Join(dir, "metrics"), n, seed) }},
		{uses: "figures", in: ports{"rates": {"rates"}, "accuracy": {"accuracy"}, "metrics": {"metrics"}}},
		{uses: "compare-arms", with: config{"arms": []string{"one", "two"}}, in: ports{"scores": {"scores-cot-0", "scores-cot-1", "scores-tree-0", "scores-tree-1"}}},
		{uses: "compare-systems", in: ports{"scores": {"scores-cot-0", "scores-cot-1"}, "comparisons": {"comparisons", "comparisons"}}},
	}
	for i := range list {
		if list[i].name == "" {
			list[i].name = list[i].uses
		}
	}
	return list
}

// jsonLines makes a file of JSON lines.
func jsonLines(path string, write func(put func(v any) error) error) error {
	w, err := create(path)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return w.close(write(e.Encode))
}

func create(path string) (*file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	return newFile(path)
}
