// Package sampledata writes the small problem sets that come with distillflow:
// original problems in the raw layouts of the eight data sets, made from
// templates and fact tables by a fixed random stream, so that every run of the
// generator gives the same bytes.
//
// Within a task no two rows share a question, and none share the numbers that
// occur in it; a student therefore cannot answer a test row from memory.
package sampledata

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"sort"
	"strings"
)

// Rows of each split of the tasks in this package other than gsm8k.
const (
	TrainRows = 60
	TestRows  = 30
)

// Set is the sample data of one task: JSON objects, one per row.
type Set struct{ Train, Test [][]byte }

// generators lists the tasks in the order of the documentation. A generator
// gives its i-th candidate row; it may repeat itself, and [Generate] drops what
// was there before.
var generators = []struct {
	task string
	make func(r *rand.Rand, i int) row
}{
	{"math", mathRow},
	{"arc_challenge", arcRow},
	{"commonsense_qa", commonsenseRow},
	{"date", dateRow},
	{"anli", anliRow},
	{"strategy_qa", strategyRow},
	{"table_mwp", tableRow},
}

// Tasks lists the tasks that [Generate] knows.
func Tasks() []string {
	var names []string
	for _, g := range generators {
		names = append(names, g.task)
	}
	return names
}

// Generate makes the sample data of a task. It fails for an unknown task and
// when a generator runs out of fresh rows.
func Generate(task string) (Set, error) {
	for _, g := range generators {
		if g.task != task {
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(task))
		r := rand.New(rand.NewPCG(20260101, h.Sum64()))
		var rows [][]byte
		seen := map[string]bool{}
		for i := 0; len(rows) < TrainRows+TestRows; i++ {
			if i > 200*(TrainRows+TestRows) {
				return Set{}, fmt.Errorf("sample data of %s: only %d distinct rows", task, len(rows))
			}
			c := g.make(r, i)
			words, numbers := "w:"+c.question(), "n:"+Numbers(c.text)
			if seen[words] || numbers != "n:" && seen[numbers] {
				continue
			}
			seen[words], seen[numbers] = true, true
			split, n := "train", len(rows)+1
			if n > TrainRows {
				split, n = "test", n-TrainRows
			}
			b, err := c.encode(fmt.Sprintf("%s-sample-%s-%d", task, split, n))
			if err != nil {
				return Set{}, fmt.Errorf("sample data of %s: %w", task, err)
			}
			rows = append(rows, b)
		}
		return Set{Train: rows[:TrainRows], Test: rows[TrainRows:]}, nil
	}
	return Set{}, fmt.Errorf("there is no sample data generator for %q", task)
}

var number = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)?`)

// Numbers is the combination of numbers in a text, in ascending order of their
// spelling and joined by blanks; "" where there are none.
func Numbers(text string) string {
	found := number.FindAllString(text, -1)
	sort.Strings(found)
	return strings.Join(found, " ")
}

// row is one problem: its fields in order, and all of its text that a solver
// reads.
type row struct {
	text   string
	names  []string
	values []any
}

func newRow(text string) row { return row{text: text} }

// question is the field of that name, or all of the text where there is none.
func (r row) question() string {
	for i, name := range r.names {
		if q, ok := r.values[i].(string); ok && name == "question" {
			return q
		}
	}
	return r.text
}

func (r row) with(name string, v any) row {
	r.names = append(r.names, name)
	r.values = append(r.values, v)
	return r
}

func (r row) encode(id string) ([]byte, error) {
	r.names = append([]string{"id"}, r.names...)
	r.values = append([]any{id}, r.values...)
	var b bytes.Buffer
	for i, name := range r.names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q: ", name)
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(r.values[i]); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the encoder's newline
	}
	return []byte("{" + b.String() + "}"), nil
}

// options is the choices object of the Hugging Face multiple-choice sets.
type options struct {
	Label []string `json:"label"`
	Text  []string `json:"text"`
}

// shuffled places the right answer among the wrong ones and returns its label.
func shuffled(r *rand.Rand, right string, wrong []string) (options, string) {
	texts := append([]string{right}, wrong...)
	r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	var o options
	key := ""
	for i, t := range texts {
		label := string(rune('A' + i))
		if t == right {
			key = label
		}
		o.Label, o.Text = append(o.Label, label), append(o.Text, t)
	}
	return o, key
}

// others draws n different entries of list that are not right.
func others(r *rand.Rand, list []string, right string, n int) []string {
	var out []string
	for _, i := range r.Perm(len(list)) {
		if list[i] != right && len(out) < n {
			out = append(out, list[i])
		}
	}
	return out
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// between draws from low to high, both included.
func between(r *rand.Rand, low, high int) int { return low + r.IntN(high-low+1) }

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
