package generate

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Greedy continuations equal those of transformers until its two best tokens are
// closer than rounding can tell; from there on its tokens are given and the next
// ones compared again. tools/oracle/decoder/generate.py writes the goldens.
func TestGreedyEqualsTransformers(t *testing.T) {
	const tie, needed = 1e-3, 0.9
	dev := openDevice(t)
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var rows []golden
			if err := json.Unmarshal(data, &rows); err != nil {
				t.Fatal(err)
			}
			m := pretrained(t, filepath.Join("..", "decoder", "testdata", "hf", name))
			for kind, g := range generators(t, dev, m) {
				t.Run(kind, func(t *testing.T) { follow(t, g, rows, tie, needed) })
			}
		})
	}
}

// golden is a row of a golden file.
type golden struct {
	Prompt, New []int32
	Gaps        []float64
}

func follow(t *testing.T, g *Generator, rows []golden, tie, needed float64) {
	// at[i] is how many of row i's tokens have been compared or given.
	at := make([]int, len(rows))
	compared, total := 0, 0
	for _, r := range rows {
		total += len(r.New)
	}
	for {
		var open []int
		var prompts [][]int32
		for i, r := range rows {
			if at[i] < len(r.New) {
				open = append(open, i)
				prompts = append(prompts, slices.Concat(r.Prompt, r.New[:at[i]]))
			}
		}
		if len(open) == 0 {
			break
		}
		got, err := g.Run(context.Background(), prompts, Options{MaxNew: 25, Batch: len(prompts)})
		if err != nil {
			t.Fatal(err)
		}
		for k, i := range open {
			r := rows[i]
			for _, id := range got[k].IDs {
				if at[i] == len(r.New) {
					break
				}
				if r.Gaps[at[i]] < tie {
					at[i]++ // a tie: take theirs and go on from there
					break
				}
				if id != r.New[at[i]] {
					t.Fatalf("row %d token %d: %d, transformers %d with a gap of %g", i, at[i], id, r.New[at[i]], r.Gaps[at[i]])
				}
				at[i]++
				compared++
			}
		}
	}
	if float64(compared) < needed*float64(total) {
		t.Errorf("only %d of %d positions could be compared", compared, total)
	}
}

// pretrained reads a golden checkpoint; nothing ends its texts.
func pretrained(t testing.TB, dir string) Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ParseHF(data)
	if err != nil {
		t.Fatal(err)
	}
	ck, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	p, err := decoder.Pack(c, func(name string) ([]float32, []int, error) {
		x, err := ck.Tensor(name)
		if err != nil {
			return nil, nil, err
		}
		v, err := x.Float32(nil)
		return v, slices.Clone(x.Shape), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return Model{Config: c, Params: p.Args(nil)}
}
