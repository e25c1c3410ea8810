package audit

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

// Estimate is what labels say of a sample. Rates are from 0 to 1, intervals of 95 %.
type Estimate struct {
	Run    string   `json:"run"`
	Seed   uint64   `json:"seed"`
	Strata []Labels `json:"strata"`
	All    Labels   `json:"all"`
	// Covered is the share of the accepted paths that lie in strata with labels: All speaks
	// of these only.
	Covered float64 `json:"covered"`
	// Outside counts labels right or wrong on paths that are not in the sample. They are not
	// counted: who looks for faults finds more of them than chance does.
	Outside int `json:"outside"`
}

// Labels counts the labels of one stratum, or of all.
type Labels struct {
	Stage    string  `json:"stage,omitempty"`
	Style    string  `json:"style,omitempty"`
	Paths    int     `json:"paths"`    // accepted
	Sample   int     `json:"sample"`   // drawn
	Labelled int     `json:"labelled"` // of the sample, right or wrong
	Wrong    int     `json:"wrong"`
	Rate     float64 `json:"rate"` // of false accepts; 0 without labels
	Low      float64 `json:"low"`  // of a stratum the interval of Clopper and Pearson
	High     float64 `json:"high"`
}

// Estimate computes the rate of false accepts from labels: each stratum's rate by its share
// of the paths, with the interval of [stats.Weighted].
func (s *Sample) Estimate(labels map[schema.NoteKey]schema.Note) Estimate {
	e := Estimate{Run: s.Run, Seed: s.Seed}
	inSample := map[schema.NoteKey]bool{}
	covered := 0
	for _, st := range s.Strata {
		l := Labels{Stage: st.Stage, Style: st.Style, Paths: st.Paths, Sample: len(st.Items)}
		for _, it := range st.Items {
			note, key := labelOf(labels, it)
			inSample[key] = true
			switch note.Mark {
			case schema.MarkRight:
				l.Labelled++
			case schema.MarkWrong:
				l.Labelled++
				l.Wrong++
			}
		}
		if l.Labelled > 0 {
			l.Rate = float64(l.Wrong) / float64(l.Labelled)
			covered += l.Paths
		}
		l.Low, l.High = stats.ClopperPearson(l.Wrong, l.Labelled)
		e.Strata = append(e.Strata, l)
		e.All.Paths += l.Paths
		e.All.Sample += l.Sample
		e.All.Labelled += l.Labelled
		e.All.Wrong += l.Wrong
	}
	var parts []stats.Part
	for _, l := range e.Strata {
		if l.Labelled > 0 {
			parts = append(parts, stats.Part{Weight: float64(l.Paths) / float64(covered), K: l.Wrong, N: l.Labelled})
		}
	}
	e.All.High = 1
	if len(parts) > 0 {
		e.All.Rate, e.All.Low, e.All.High = stats.Weighted(parts, stats.ClopperPearson)
		e.Covered = float64(covered) / float64(e.All.Paths)
	}
	for key, n := range labels {
		if !inSample[key] && (n.Mark == schema.MarkRight || n.Mark == schema.MarkWrong) {
			e.Outside++
		}
	}
	return e
}

// labelOf finds the label of a path: of its very response, or one that names no response.
func labelOf(labels map[schema.NoteKey]schema.Note, it Item) (schema.Note, schema.NoteKey) {
	if n, ok := labels[it.Key]; ok {
		return n, it.Key
	}
	any := it.Key
	any.Text = ""
	return labels[any], any
}

// Text prints the estimate for people.
func (e Estimate) Text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "accepted by\tstyle\tpaths\tsample\tlabelled\twrong\tfalse accepts\t95 % interval")
	row := func(l Labels, stage string) {
		rate, interval := "-", "-"
		if l.Labelled > 0 {
			rate, interval = percent(l.Rate), fmt.Sprintf("%.1f to %.1f", 100*l.Low, 100*l.High)
		}
		style := text.OneLine(l.Style)
		if strings.TrimSpace(style) == "" {
			style = "-"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", text.OneLine(stage), style, l.Paths, l.Sample, l.Labelled, l.Wrong, rate, interval)
	}
	for _, l := range e.Strata {
		row(l, l.Stage)
	}
	row(e.All, "all")
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if e.All.Labelled > 0 {
		fmt.Fprintf(w, "False accepts: %s of the accepted paths (95 %% interval %.1f to %.1f), by %s of a random sample.\n",
			percent(e.All.Rate), 100*e.All.Low, 100*e.All.High, text.Plural(e.All.Labelled, "label"))
		if e.Covered < 1 {
			fmt.Fprintf(w, "This speaks of %s of them: the other strata have no label yet.\n", percent(e.Covered))
		}
	}
	if left := e.All.Sample - e.All.Labelled; left > 0 {
		fmt.Fprintf(w, "%s of the sample to be labelled: --sheet FILE writes them, --labels FILE takes them back.\n", text.Plural(left, "path"))
	}
	if e.Outside > 0 {
		fmt.Fprintf(w, "Not counted: %s on paths outside of the sample.\n", text.Plural(e.Outside, "label"))
	}
	return nil
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }
