package data

import (
	"context"
	"math"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
)

// The row stages read their input whole and are quick, so an estimate does not look at
// rows: it tells what follows from their number.

// ports is an estimate of rows by output port.
func ports(of map[string]*stage.Range) (stage.Estimate, error) { return stage.Estimate{Rows: of}, nil }

// part is any number of rows of a whole.
func part(whole *stage.Range) *stage.Range { return whole.Times(0, 1) }

// drawn is how many rows are taken when each is taken with a probability: six standard
// deviations of the binomial distribution about its mean, which one run in 500 million
// leaves.
func drawn(whole *stage.Range, p float64) *stage.Range {
	if whole == nil {
		return nil
	}
	spread := func(n float64) float64 { return 6 * math.Sqrt(n*p*(1-p)) }
	least := math.Floor(whole.Min*p - spread(whole.Min))
	most := math.Ceil(whole.Max*p + spread(whole.Max))
	return &stage.Range{Min: max(0, least), Max: min(whole.Max, most)}
}

// without is what is left of a whole when a part of it is taken.
func without(whole, taken *stage.Range) *stage.Range {
	if whole == nil || taken == nil {
		return part(whole)
	}
	return &stage.Range{Min: max(0, whole.Min-taken.Max), Max: max(0, whole.Max-taken.Min)}
}

// Estimate implements [stage.Estimator].
func (filterConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("rows")
	return ports(map[string]*stage.Range{"rows": part(rows), "dropped": part(rows)})
}

// Estimate implements [stage.Estimator].
func (deriveConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return ports(map[string]*stage.Range{"rows": q.Rows("rows")})
}

// Estimate implements [stage.Estimator].
func (sortConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return ports(map[string]*stage.Range{"rows": q.Rows("rows")})
}

// Estimate implements [stage.Estimator].
func (c concatConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("rows")
	if c.Duplicates == "first" && rows != nil {
		least := 0.0 // one, if there is any
		for _, e := range q.Inputs["rows"] {
			least = max(least, min(1, e.Rows.Min))
		}
		rows = &stage.Range{Min: least, Max: rows.Max}
	}
	return ports(map[string]*stage.Range{"rows": rows})
}

// Estimate implements [stage.Estimator].
func (c joinConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("rows")
	joined := rows
	if c.How == "inner" {
		joined = part(rows)
	}
	return ports(map[string]*stage.Range{"rows": joined, "unmatched": part(rows)})
}

// Estimate implements [stage.Estimator].
func (c splitConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("rows")
	if c.By != "" { // rows that agree go together, and nothing is known of their number
		return ports(map[string]*stage.Range{"train": part(rows), "dev": part(rows), "test": part(rows)})
	}
	return ports(map[string]*stage.Range{
		"test": drawn(rows, c.Test), "dev": drawn(rows, c.Dev), "train": drawn(rows, max(0, 1-c.Test-c.Dev)),
	})
}

// Estimate implements [stage.Estimator].
func (c sampleConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("rows")
	if rows == nil {
		return stage.Estimate{}, nil
	}
	n := float64(c.N)
	taken := &stage.Range{Min: min(rows.Min, n), Max: min(rows.Max, n)}
	switch {
	case c.Where != "" && c.N > 0 && c.By == "":
		taken.Min = 0
	case c.Where != "":
		taken = part(rows)
	case c.N == 0:
		taken = drawn(rows, c.Fraction)
	case c.By != "": // at least one group, if there are rows
		taken.Max = rows.Max
	}
	return ports(map[string]*stage.Range{"rows": taken, "rest": without(rows, taken)})
}

// Estimate implements [stage.Estimator].
func (samplePathsConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return ports(map[string]*stage.Range{"rows": part(q.Rows("rows"))})
}

// Estimate implements [stage.Estimator] by counting lines, as scan does.
func (c importConfig) Estimate(ctx context.Context, _ stage.Question) (stage.Estimate, error) {
	rows, err := linesBelow(ctx, string(c.Root), true, c.OnError == onError)
	if err != nil {
		return stage.Estimate{}, err
	}
	if strings.HasSuffix(string(c.Root), notesFile) {
		rows = part(rows) // several notes on one row
	}
	bad := part(rows)
	if c.OnError != onQuarantine {
		bad = stage.Exactly(0)
	}
	return ports(map[string]*stage.Range{"rows": rows, "correct": part(rows), "quarantine": bad})
}

// Estimate implements [stage.Estimator] by counting lines.
func (c importScriptsConfig) Estimate(ctx context.Context, _ stage.Question) (stage.Estimate, error) {
	all, err := c.scripts()
	if err != nil {
		return stage.Estimate{}, err
	}
	var train, other []file
	for _, s := range all {
		if s.split == trainDir {
			train = append(train, s.rows)
		} else {
			other = append(other, s.rows)
		}
	}
	rows, err := linesOf(ctx, train, c.OnError == onError)
	if err != nil {
		return stage.Estimate{}, err
	}
	test, err := linesOf(ctx, other, c.OnError == onError)
	if err != nil {
		return stage.Estimate{}, err
	}
	out := map[string]*stage.Range{"train": rows, "correct": part(rows), "test": test}
	if c.OnError != onQuarantine {
		out["quarantine"] = stage.Exactly(0)
	}
	return ports(out)
}

// Estimate implements [stage.Estimator]: two decisions a line. Logs of weights are not
// counted.
func (c importRouterLogConfig) Estimate(ctx context.Context, _ stage.Question) (stage.Estimate, error) {
	logs, err := c.logs()
	if err != nil {
		return stage.Estimate{}, err
	}
	var files []file
	for _, l := range logs {
		if l.weights {
			return stage.Estimate{}, nil
		}
		files = append(files, l.file)
	}
	lines, err := linesOf(ctx, files, true)
	return stage.Estimate{Rows: map[string]*stage.Range{"router_log": lines.Times(2, 2)}}, err
}
