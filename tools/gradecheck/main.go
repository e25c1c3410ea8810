// Command gradecheck measures answer extraction and verification against
// labelled data. It reads, where they exist below the folder given by -data:
//
//	math/pairs.jsonl            gold, pred, expected (entries with a note are disputed)
//	math/issue_cases.jsonl      the same form
//	math/latex2sympy.jsonl      LaTeX with a reference reading, or an error
//	math/stack_answertests.jsonl  gold, pred in Maxima syntax
//	outputs/*.jsonl             model responses with gold and a flag
//	datasets/<task>/*.jsonl     rows whose gold is fed back as the response
//
// and prints, for each source, agreement, false accepts, false rejects,
// unknowns and time per pair. With -v it lists every disagreement.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"text/tabwriter"
	"time"
)

// tally counts the outcomes of one source.
type tally struct {
	name                              string
	n, agree, accept, reject, unknown int
	skipped                           int
	why                               map[string]int // reasons of skipped pairs
	total, worst                      time.Duration
	notes                             []string
}

// add records one pair: want is the label, equal and unknown our verdict.
func (t *tally) add(want, equal, unknown bool, d time.Duration, describe func() string) {
	t.n++
	t.total += d
	t.worst = max(t.worst, d)
	if unknown {
		t.unknown++
	}
	switch {
	case equal == want:
		t.agree++
		return
	case equal:
		t.accept++
	default:
		t.reject++
	}
	kind := "false reject"
	if equal {
		kind = "FALSE ACCEPT"
	}
	t.notes = append(t.notes, kind+" "+describe())
}

// skip records a pair that was not run.
func (t *tally) skip(why string) {
	t.skipped++
	if t.why == nil {
		t.why = map[string]int{}
	}
	t.why[why]++
}

// printSkips lists the reasons of skipped pairs.
func printSkips(all []*tally) {
	for _, t := range all {
		var names []string
		for w := range t.why {
			names = append(names, w)
		}
		sort.Strings(names)
		for _, w := range names {
			fmt.Printf("skipped in %s: %4d %s\n", t.name, t.why[w], w)
		}
	}
}

func main() {
	data := flag.String("data", "", "folder with math/, outputs/ and datasets/")
	only := flag.String("only", "", "run only the parts whose name contains this")
	verbose := flag.Bool("v", false, "list disagreements")
	flag.Parse()
	if *data == "" {
		fmt.Fprintln(os.Stderr, "gradecheck: -data is required: the folder that holds math/, outputs/ and datasets/")
		os.Exit(2)
	}
	var all []*tally
	run := func(pattern string, f func(path string) ([]*tally, error)) {
		paths, _ := filepath.Glob(filepath.Join(*data, pattern))
		sort.Strings(paths)
		for _, p := range paths {
			if *only != "" && !contains(p, *only) {
				continue
			}
			ts, err := f(p)
			if err != nil {
				fmt.Fprintf(os.Stderr, "gradecheck: %s: %v\n", p, err)
				os.Exit(1)
			}
			all = append(all, ts...)
		}
	}
	run("math/pairs.jsonl", pairs)
	run("math/issue_cases.jsonl", pairs)
	run("math/latex2sympy.jsonl", latex)
	run("math/stack_answertests.jsonl", stack)
	before := len(all)
	run("outputs/*.jsonl", outputs)
	recorded := all[before:]
	run("datasets/*/*.jsonl", feedback)
	w := tabwriter.NewWriter(os.Stdout, 2, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "source\tpairs\tagree\t%\tfalse accept\tfalse reject\tunknown\tskipped\tus/pair\tworst ms\t")
	for _, t := range all {
		if t.n == 0 && t.skipped == 0 {
			continue
		}
		per := 0.0
		if t.n > 0 {
			per = float64(t.total.Microseconds()) / float64(t.n)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t\n", t.name, t.n, t.agree,
			100*float64(t.agree)/float64(max(1, t.n)), t.accept, t.reject, t.unknown, t.skipped, per,
			float64(t.worst.Microseconds())/1000)
	}
	w.Flush()
	n, spent := 0, time.Duration(0)
	for _, t := range recorded {
		n += t.n
		spent += t.total
	}
	if spent > 0 {
		fmt.Printf("outputs: %d pairs, %.0f pairs/s on one core, extraction and verification\n", n, float64(n)/spent.Seconds())
	}
	printSkips(all)
	if *verbose {
		for _, t := range all {
			for _, n := range t.notes {
				fmt.Printf("%s: %s\n", t.name, n)
			}
		}
	}
}
