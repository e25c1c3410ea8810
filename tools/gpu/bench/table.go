package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// table prints the results of a folder side by side.
func table(w io.Writer, folders []string, peak float64) error {
	if len(folders) != 1 {
		return errors.New("table wants one folder")
	}
	jobs, results := map[string]job{}, []result{}
	files, err := filepath.Glob(filepath.Join(folders[0], "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		var j job
		var r result
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(file, ".job.json"):
			if err = json.Unmarshal(data, &j); err == nil {
				jobs[j.Shape] = j
			}
		case strings.HasSuffix(file, ".result.json"):
			if err = json.Unmarshal(data, &r); err == nil {
				results = append(results, r)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	slices.SortStableFunc(results, func(a, b result) int {
		return cmp.Or(cmp.Compare(slices.Index(works, a.Work), slices.Index(works, b.Work)), cmp.Compare(b.Shape, a.Shape), cmp.Compare(a.System, b.System))
	})
	eager := map[string]float64{} // tokens a second, by shape
	for _, r := range results {
		if r.Work == training && r.System == eagerSystem {
			eager[r.Shape] = r.TokensPerSec
		}
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "work\tshape\tparameters\tbatch\tsystem\tstep ms\ttok/s\tbeside\tMFU\tpeak\tplanned\tcompile s\tloss\tnote\t")
	for _, r := range results {
		note := r.Note
		if r.Error != "" {
			note = strings.TrimPrefix(note+", failed: "+shorten(r.Error, 60), ", ")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Work, r.Shape, number("%.2fB", float64(r.Params)/1e9), r.Batch, r.System,
			number("%.1f", 1000*r.StepSeconds), number("%.0f", r.TokensPerSec), beside(r, eager[r.Shape]), mfu(jobs[r.Shape], r, peak),
			gib(r.PeakBytes), gib(r.PlannedBytes), number("%.1f", r.CompileSeconds), losses(r), note)
	}
	return tw.Flush()
}

// works are the kinds of work, in the order of the table.
var works = []string{parityWork, training, decoding, routing}

const (
	parityWork = "parity"
	training   = "training"
	decoding   = "decoding"
	routing    = "routing"
)

// eagerSystem is what baseline.py calls itself without --compile.
const eagerSystem = "hf-eager"

// beside sets a result beside what it is measured by: PyTorch, or the device's bandwidth.
func beside(r result, eager float64) string {
	switch {
	case r.Bandwidth > 0:
		return fmt.Sprintf("%.0f %% of bandwidth", 100*r.Bandwidth)
	case r.Work == training && r.System != eagerSystem && r.TokensPerSec > 0 && eager > 0:
		return fmt.Sprintf("%.2f x eager", r.TokensPerSec/eager)
	}
	return "-"
}

// number formats v, and "-" where it was not measured.
func number(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func losses(r result) string {
	if r.FirstLoss == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f > %.3f", r.FirstLoss, r.LastLoss)
}

// mfu is the share of the peak that the operations a step needs make up.
func mfu(j job, r result, peak float64) string {
	if peak <= 0 || r.StepSeconds <= 0 || r.Work != training {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*j.ModelFLOP/r.StepSeconds/(peak*1e12))
}

func gib(n int64) string {
	if n <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}

func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + ".."
	}
	return s
}
