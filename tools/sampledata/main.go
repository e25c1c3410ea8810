// Command sampledata writes the sample problem sets below recipes/data. Run it
// in the root of the repository:
//
//	go run ./tools/sampledata
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/sampledata"
)

// Rows of the GSM8K sample: enough for the recipe's students to learn from, few
// enough for a run of minutes.
const (
	gsm8kTrain = 1600
	gsm8kTest  = 160

	// Of each family of the routing problems.
	routingTrain = 300
	routingTest  = 100
)

func main() {
	dir := flag.String("dir", filepath.Join("recipes", "data"), "folder to write the sets to")
	flag.Parse()
	files, err := generate()
	if err == nil {
		err = write(*dir, files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sampledata:", err)
		os.Exit(1)
	}
}

// generate gives the content of every file by its path below the data folder.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{}
	for split, n := range map[string]int{sampledata.Train: gsm8kTrain, sampledata.Test: gsm8kTest} {
		problems := sampledata.GSM8K(split, n)
		if len(problems) != n {
			return nil, fmt.Errorf("gsm8k has only %d distinct %s problems, not %d", len(problems), split, n)
		}
		var rows [][]byte
		for _, p := range problems {
			b, err := gsm8kRow(p)
			if err != nil {
				return nil, err
			}
			rows = append(rows, b)
		}
		files[filepath.Join("gsm8k", split+".jsonl")] = lines(rows)
	}
	for split, n := range map[string]int{sampledata.Train: routingTrain, sampledata.Test: routingTest} {
		problems := sampledata.Routing(split, n)
		if want := n * len(sampledata.RoutingFamilies); len(problems) != want {
			return nil, fmt.Errorf("routing has only %d distinct %s problems, not %d", len(problems), split, want)
		}
		var rows [][]byte
		for _, p := range problems {
			b, err := encode(struct {
				ID        string   `json:"id"`
				Family    string   `json:"family"`
				Question  string   `json:"question"`
				Answer    string   `json:"answer"`
				Styles    []string `json:"styles,omitempty"`
				Responses []string `json:"responses,omitempty"`
			}(p))
			if err != nil {
				return nil, err
			}
			rows = append(rows, b)
		}
		files[filepath.Join("routing", split+".jsonl")] = lines(rows)
	}
	for _, task := range sampledata.Tasks() {
		set, err := sampledata.Generate(task)
		if err != nil {
			return nil, err
		}
		files[filepath.Join(task, sampledata.Train+".jsonl")] = lines(set.Train)
		files[filepath.Join(task, sampledata.Test+".jsonl")] = lines(set.Test)
	}
	return files, nil
}

func gsm8kRow(p sampledata.GSM8KProblem) ([]byte, error) {
	return encode(struct {
		ID       string `json:"id"`
		Question string `json:"question"`
		Answer   string `json:"answer"`
		Solution string `json:"solution"`
	}{p.ID, p.Question, p.Answer, p.Solution})
}

func encode(row any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(row)
	return bytes.TrimSpace(b.Bytes()), err
}

func lines(rows [][]byte) []byte { return append(bytes.Join(rows, []byte("\n")), '\n') }

func write(dir string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
