// Package localtest makes a small model folder for tests of what asks a local model.
package localtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Folder copies a model of 4 layers with random weights into a folder of its own, with a
// tokenizer of single letters. What it says is letters without sense; it says the same
// each time.
func Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(root, "internal", "lm", "decoder", "testdata", "hf", "qwen2", f))
		if err != nil {
			t.Fatal(err)
		}
		Put(t, dir, f, string(data))
	}
	vocab := map[string]int{"<pad>": 0, "<s>": 1, "</s>": 2, "?": 3}
	for c := 'a'; c <= 'z'; c++ {
		vocab[string(c)] = len(vocab)
	}
	for c := 'A'; len(vocab) < 62; c++ {
		vocab[string(c)] = len(vocab)
	}
	v, err := json.Marshal(vocab)
	if err != nil {
		t.Fatal(err)
	}
	Put(t, dir, "tokenizer.json", fmt.Sprintf(`{"version":"1.0","added_tokens":[
 {"id":0,"content":"<pad>","special":true},{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
 "pre_tokenizer":{"type":"Split","pattern":{"Regex":"."},"behavior":"Isolated","invert":false},
 "decoder":{"type":"Fuse"},"model":{"type":"WordLevel","unk_token":"?","vocab":%s}}`, v))
	Put(t, dir, "tokenizer_config.json", `{"bos_token":"<s>","eos_token":"</s>","pad_token":"<pad>"}`)
	return dir
}

// Put writes a file of a folder.
func Put(t testing.TB, dir, name, data string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// moduleRoot finds the folder of go.mod above a test's own.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, serr := os.Stat(filepath.Join(dir, "go.mod")); serr == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the test")
		}
		dir = up
	}
	return "", err
}
