package analyze

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/encoder"
	"github.com/distillflow/distillflow/schema"
)

// probeRuns is over how many draws of hashed encodings a probe is averaged.
const probeRuns = 5

// probes score linear classifiers of hashed encodings, which learn from half of the
// problems who is better at each path and are asked on the others.
func probes(dims []int, rows stage.Rows[schema.Problem], better map[string]string) (table []schema.RouterScore, err error) {
	var texts, styles []string
	var learns []bool
	for p, err := range rows.All() {
		if err != nil {
			return nil, err
		}
		h := fnv.New64a()
		fmt.Fprint(h, "probe ", p.ID)
		for _, q := range p.Paths {
			if better[q.Style] != "" {
				texts, styles, learns = append(texts, q.Response), append(styles, q.Style), append(learns, h.Sum64()%2 == 0)
			}
		}
	}
	for _, dim := range dims {
		var runs []decided
		for seed := range uint64(probeRuns) {
			enc, err := encoder.NewHashed(dim, seed)
			if err != nil {
				return nil, err
			}
			x, err := enc.Encode(texts)
			if err != nil {
				return nil, err
			}
			runs = append(runs, probe(x, styles, learns, better))
		}
		row, err := agreement(fmt.Sprintf("probe, %d wide", dim), runs, better)
		if err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		table = append(table, row)
	}
	return table, nil
}

// probe trains softmax regression by gradient descent and counts what it says of the rows
// that it did not learn from.
func probe(x [][]float32, styles []string, learns []bool, better map[string]string) decided {
	students := distinct(slices.Collect(maps.Values(better)))
	class := map[string]int{}
	for i, s := range students {
		class[s] = i
	}
	if len(x) == 0 {
		return decided{}
	}
	const steps, rate = 300, 10           // encodings have length 1: the loss is smooth enough for it
	w := make([][]float64, len(students)) // the last entry is the bias
	for k := range w {
		w[k] = make([]float64, len(x[0])+1)
	}
	says := func(v []float32) []float64 {
		p := make([]float64, len(w))
		sum := 0.0
		for k := range w {
			z := w[k][len(v)]
			for j, y := range v {
				z += w[k][j] * float64(y)
			}
			p[k] = math.Exp(z)
			sum += p[k]
		}
		for k := range p {
			p[k] /= sum
		}
		return p
	}
	n := 0
	for _, l := range learns {
		if l {
			n++
		}
	}
	for range steps {
		grad := make([][]float64, len(w))
		for k := range grad {
			grad[k] = make([]float64, len(w[k]))
		}
		for i, v := range x {
			if !learns[i] {
				continue
			}
			p := says(v)
			p[class[better[styles[i]]]]--
			for k, d := range p {
				for j, y := range v {
					grad[k][j] += d * float64(y)
				}
				grad[k][len(v)] += d
			}
		}
		for k := range w {
			for j := range w[k] {
				w[k][j] -= rate * grad[k][j] / float64(n)
			}
		}
	}
	d := decided{}
	for i, v := range x {
		if learns[i] {
			continue
		}
		p, best := says(v), 0
		for k := range p {
			if p[k] > p[best] {
				best = k
			}
		}
		if d[styles[i]] == nil {
			d[styles[i]] = map[string]int{}
		}
		d[styles[i]][students[best]]++
	}
	return d
}
