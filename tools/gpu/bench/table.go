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
	slices.SortFunc(results, func(a, b result) int {
		return cmp.Or(cmp.Compare(jobs[a.Shape].Params, jobs[b.Shape].Params), cmp.Compare(a.Shape, b.Shape), cmp.Compare(a.System, b.System))
	})
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "shape\tparameters\tbatch\tsystem\ttok/s\tMFU\tpeak\tplanned\tcompile s\tloss\t")
	for _, r := range results {
		j := jobs[r.Shape]
		if r.Error != "" {
			fmt.Fprintf(tw, "%s\t%.2fB\t%dx%d\t%s\tfailed: %s\t\t\t\t\t\t\n", r.Shape, float64(j.Params)/1e9, j.Rows, j.Seq, r.System, shorten(r.Error, 60))
			continue
		}
		fmt.Fprintf(tw, "%s\t%.2fB\t%dx%d\t%s\t%.0f\t%s\t%s\t%s\t%.1f\t%.3f > %.3f\t\n", r.Shape, float64(j.Params)/1e9, j.Rows, j.Seq, r.System,
			r.TokensPerSec, mfu(j, r, peak), gib(r.PeakBytes), gib(r.PlannedBytes), r.CompileSeconds, r.FirstLoss, r.LastLoss)
	}
	return tw.Flush()
}

// mfu is the share of the peak that the operations a step needs make up.
func mfu(j job, r result, peak float64) string {
	if peak <= 0 || r.StepSeconds <= 0 {
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
