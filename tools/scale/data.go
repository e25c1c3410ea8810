//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// file writes lines.
type file struct {
	*bufio.Writer
	f *os.File
}

func newFile(path string) (*file, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &file{bufio.NewWriterSize(f, 1<<20), f}, nil
}

// close ends the file; err is what went wrong before.
func (w *file) close(err error) error { return errors.Join(err, w.Flush(), w.f.Close()) }

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// writeQuestions writes problems of arithmetic as recipes/data has them.
func writeQuestions(path string, n int, seed uint64) error {
	r := random(seed)
	things := []string{"pens", "cards", "books", "coins", "shells", "stamps"}
	return jsonLines(path, func(put func(any) error) error {
		for i := range n {
			a, b := r.IntN(90)+10, r.IntN(9)+1
			err := put(map[string]any{
				"id":       fmt.Sprintf("row-%07d", i),
				"question": fmt.Sprintf("Sam has %d %s and gets %d in round %d. How many are there now?", a, things[r.IntN(len(things))], b, i),
				"answer":   strconv.Itoa(a + b),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// mapProblems rewrites a file of problems.
func mapProblems(from, to string, change func(p *schema.Problem)) error {
	w, err := create(to)
	if err != nil {
		return err
	}
	var line []byte
	for p, err := range stage.RowsFrom[schema.Problem](from, from).All() {
		if err == nil {
			change(&p)
			line, err = p.AppendJSON(line[:0])
		}
		if err == nil {
			_, err = w.Write(append(line, '\n'))
		}
		if err != nil {
			return w.close(err)
		}
	}
	return w.close(nil)
}

// answer plays the teacher: four of five answers are right.
func answer(from, to string, seed uint64) error {
	r := random(seed)
	return mapProblems(from, to, func(p *schema.Problem) {
		for i := range p.Paths {
			said := p.GoldAnswer
			if r.IntN(5) == 0 {
				said = strconv.Itoa(r.IntN(100))
			}
			p.Paths[i].Response = "First count what Sam has, then add what Sam gets. The answer is " + said + "."
			p.Paths[i].FinishReason, p.Paths[i].Provider = "stop", "scale"
		}
	})
}

// toChoices makes multiple choice of graded answers: the gold answer is C.
func toChoices(from, to string) error {
	return mapProblems(from, to, func(p *schema.Problem) {
		for i := range p.Paths {
			label := "A"
			if p.Paths[i].Pred == p.GoldAnswer {
				label = "C"
			}
			p.Paths[i].Pred = label
		}
		p.Task = "arc_challenge"
		p.Choices = []schema.Choice{{Label: "A", Text: "none"}, {Label: "B", Text: "all"}, {Label: "C", Text: p.GoldAnswer}, {Label: "D", Text: "some"}}
		p.GoldAnswer = "C"
	})
}

// writeRouterLog writes the decisions of one epoch on six paths of n problems.
func writeRouterLog(path string, n int, seed uint64) error {
	r := random(seed)
	return jsonLines(path, func(put func(any) error) error {
		for i := range n {
			for k, style := range styles {
				p := r.Float64()
				d := schema.RouterDecision{Epoch: 1, Step: i + 1, ID: fmt.Sprintf("row-%07d", i), Style: style, Path: k, Student: "a", Probs: map[string]float64{"a": p, "b": 1 - p}}
				if p < 0.5 {
					d.Student = "b"
				}
				if err := put(d); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// writeScriptLog writes the log of main_log_router: two paths a line.
func writeScriptLog(path string, n int, seed uint64) error {
	r := random(seed)
	return jsonLines(path, func(put func(any) error) error {
		for i := range n * len(styles) / 2 {
			k := r.IntN(len(styles) - 1)
			if err := put(map[string]int{"sample": i, "cot_idx_0": k, "route_0": r.IntN(2), "cot_idx_1": k + 1, "route_1": r.IntN(2)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeMetrics writes the losses of two students over n steps.
func writeMetrics(path string, n int, seed uint64) error {
	r := random(seed)
	return jsonLines(path, func(put func(any) error) error {
		for i := range n {
			for _, s := range []string{"a", "b"} {
				if err := put(schema.Metric{Epoch: 1, Step: i + 1, Student: s, Name: "loss", Value: 1 + r.Float64()}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// oracleScores names the scores of two runs of each style.
func oracleScores() (names []string) {
	for _, style := range styles {
		for run := range 2 {
			names = append(names, fmt.Sprintf("scores-%s-%d", style, run))
		}
	}
	return names
}

// writeScores writes scores of two students, which do not grow with the problems.
func writeScores(dir string) error {
	for i, name := range oracleScores() {
		err := jsonLines(filepath.Join(dir, name), func(put func(any) error) error {
			for s, student := range []string{"a", "b"} {
				right := 500 + 200*((i/2+s)%2) + i%2
				x := schema.Score{System: student, Kind: "trained", Task: "gsm8k", Count: 1000, Correct: right, Accuracy: float64(right) / 1000}
				if err := put(x); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return jsonLines(filepath.Join(dir, "comparisons"), func(put func(any) error) error {
		return put(schema.Comparison{Task: "gsm8k", A: "a", AKind: "trained", B: "b", BKind: "trained", Count: 1000, OnlyA: 100, OnlyB: 300, Difference: -0.2, P: 0.001})
	})
}
