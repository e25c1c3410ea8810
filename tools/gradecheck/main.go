// Command gradecheck measures answer extraction and verification against
// labelled data. It reads, where they exist below the folder given by -data:
//
//	math/pairs.jsonl            gold, pred, expected (entries with a note are disputed)
//	math/issue_cases.jsonl      the same form
//	math/latex2sympy.jsonl      LaTeX with a reference reading, or an error
//	math/stack_answertests.jsonl  gold, pred in Maxima syntax
//	outputs/*.jsonl             model responses with gold and a flag
//	datasets/<task>/*.jsonl     rows whose gold is fed back as the response
//	answers2/*.jsonl            gold and pred, or gold and a whole response; rows that
//	                            answers2/disagreements.jsonl calls "label wrong" are
//	                            counted apart
//	cases/*.jsonl               gold and a response of any task
//
// and prints, for each source, agreement, recall (the share of the pairs labelled
// equal that count as equal), false accepts, false rejects, unknowns and time per
// pair, and then what it left out. With -v it lists every
// disagreement. It fails where there is nothing to compare.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
)

// sources are the files that gradecheck reads, in the order of the table.
var sources = []struct {
	pattern string // below the folder of -data
	read    func(path string) ([]*score, error)
}{
	{"math/pairs.jsonl", pairs},
	{"math/issue_cases.jsonl", pairs},
	{"math/latex2sympy.jsonl", latex},
	{"math/stack_answertests.jsonl", stack},
	{"outputs/*.jsonl", outputs},
	{"datasets/*/*.jsonl", feedback},
	{"answers2/*.jsonl", answers2},
	{"cases/*.jsonl", cases},
}

// patterns lists where the sources lie, one a line.
func patterns() string {
	var out []string
	for _, s := range sources {
		out = append(out, s.pattern)
	}
	return strings.Join(out, "\n\t")
}

// score counts the outcomes of one source.
type score struct {
	name                              string
	n, agree, accept, reject, unknown int
	same                              int // pairs labelled equal
	skipped                           int
	why                               map[string]int // reasons of skipped pairs
	total, worst                      time.Duration
	notes                             []string
}

// add records one pair: want is the label, equal and unknown our verdict.
func (t *score) add(want, equal, unknown bool, d time.Duration, describe func() string) {
	t.n++
	t.total += d
	t.worst = max(t.worst, d)
	if unknown {
		t.unknown++
	}
	if want {
		t.same++
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

// recall is the share in percent of the pairs labelled equal that count as equal.
func (t *score) recall() string {
	if t.same == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", 100*float64(t.same-t.reject)/float64(t.same))
}

// skip records a pair that was not run.
func (t *score) skip(why string) {
	t.skipped++
	if t.why == nil {
		t.why = map[string]int{}
	}
	t.why[why]++
}

// printSkips lists the reasons of skipped pairs.
func printSkips(out io.Writer, all []*score) {
	for _, t := range all {
		var names []string
		for w := range t.why {
			names = append(names, w)
		}
		sort.Strings(names)
		for _, w := range names {
			fmt.Fprintf(out, "skipped in %s: %4d %s\n", t.name, t.why[w], w)
		}
	}
}

func main() {
	data := flag.String("data", "", "folder with math/, outputs/, datasets/, answers2/ and cases/")
	only := flag.String("only", "", "run only the files whose path contains this")
	verbose := flag.Bool("v", false, "list disagreements")
	flag.Parse()
	if *data == "" {
		fmt.Fprintln(os.Stderr, "gradecheck: -data is required: the folder that holds math/, outputs/, datasets/, answers2/ or cases/")
		os.Exit(2)
	}
	if err := check(os.Stdout, *data, *only, *verbose); err != nil {
		fmt.Fprintf(os.Stderr, "gradecheck: %v\n", err)
		os.Exit(1)
	}
}

// check compares every source below the folder data whose path contains only,
// and prints the table to out. It fails where there is nothing to compare.
func check(out io.Writer, data, only string, verbose bool) error {
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("%w; give -data the folder that holds math/, outputs/, datasets/, answers2/ or cases/", err)
	}
	var all, recorded []*score
	var leftOut []string
	for _, s := range sources {
		paths, err := filepath.Glob(filepath.Join(data, s.pattern))
		if err != nil {
			return err
		}
		if len(paths) == 0 && strings.Contains(s.pattern, only) {
			leftOut = append(leftOut, s.pattern+" (not found)")
		}
		for _, p := range paths {
			name, err := filepath.Rel(data, p)
			if err != nil {
				return err
			}
			name = filepath.ToSlash(name)
			if !strings.Contains(name, only) || name == "answers2/disagreements.jsonl" {
				continue
			}
			ts, err := s.read(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			before := len(all)
			for _, t := range ts {
				if t.n+t.skipped > 0 {
					all = append(all, t)
				}
			}
			if len(all) == before {
				leftOut = append(leftOut, name+" (nothing to compare)")
			}
			if strings.HasPrefix(s.pattern, "outputs/") {
				recorded = append(recorded, ts...)
			}
		}
	}
	if len(all) == 0 {
		if only != "" {
			return fmt.Errorf("-only %s matches no file with rows below %s; the files are:\n\t%s", only, data, patterns())
		}
		return fmt.Errorf("nothing to compare below %s; give -data the folder that holds at least one of:\n\t%s", data, patterns())
	}
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "source\tpairs\tagree\t%\trecall %\tfalse accept\tfalse reject\tunknown\tskipped\tus/pair\tworst ms\t")
	for _, t := range all {
		per := 0.0
		if t.n > 0 {
			per = float64(t.total.Microseconds()) / float64(t.n)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\t%s\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t\n", t.name, t.n, t.agree,
			100*float64(t.agree)/float64(max(1, t.n)), t.recall(), t.accept, t.reject, t.unknown, t.skipped, per,
			float64(t.worst.Microseconds())/1000)
	}
	w.Flush()
	n, spent := 0, time.Duration(0)
	for _, t := range recorded {
		n += t.n
		spent += t.total
	}
	if spent > 0 {
		fmt.Fprintf(out, "outputs: %d pairs, %.0f pairs/s on one core, extraction and verification\n", n, float64(n)/spent.Seconds())
	}
	printSkips(out, all)
	for _, l := range leftOut {
		fmt.Fprintf(out, "left out: %s\n", l)
	}
	if verbose {
		for _, t := range all {
			for _, n := range t.notes {
				fmt.Fprintf(out, "%s: %s\n", t.name, n)
			}
		}
	}
	return nil
}
