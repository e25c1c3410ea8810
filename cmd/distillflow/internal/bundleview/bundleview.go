// Package bundleview shows bundles, and how a replay compares with its run.
package bundleview

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Created says what went into a new bundle, and on notes what did not.
func Created(w, notes io.Writer, file string, size int64, m *bundle.Manifest) {
	Notes(notes, m)
	fmt.Fprintf(w, "wrote %s (%s): %s, %s of a teacher, %s, %s packed\n", file, text.Size(size), text.Plural(len(m.Stages), "stage"),
		text.Plural(m.Answers, "answer"), text.Plural(inputFiles(m), "input file"), text.Plural(packedResults(m), "result"))
}

// Notes says what a bundle lacks, and what it holds though nobody asked for it.
func Notes(w io.Writer, m *bundle.Manifest) {
	if n, size := leftOut(m); n > 0 {
		fmt.Fprintf(w, "distillflow: left out: %s of models (%s), which `bundle show` names; --models packs them\n", text.Plural(n, "file"), text.Size(size))
	}
	for _, s := range m.Stages {
		if s.Note != "" {
			fmt.Fprintf(w, "distillflow: the result of stage %s is packed: %s\n", s.Name, s.Note)
		}
	}
}

// JSON writes a bundle's manifest.
func JSON(w io.Writer, m *bundle.Manifest) error {
	return view.Indented(w, m)
}

// Show writes what a bundle holds; files lists each of its files.
func Show(w io.Writer, m *bundle.Manifest, files bool) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(title, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", title, fmt.Sprintf(format, args...))
	}
	row("made by", "distillflow %s on %s", m.Program, m.Host)
	row("recipe", "%s", m.Recipe)
	if m.Profile != "" {
		row("profile", "%s", m.Profile)
	}
	row("seed", "%d", m.Seed)
	row("answers", "%d", m.Answers)
	row("unpacked", "%s, %s", text.Plural(len(m.Entries), "file"), text.Size(m.Total()))
	for _, in := range m.Inputs {
		what := "packed"
		if !in.Packed {
			what = "left out"
		}
		row("input "+in.Dir, "%s, %s", text.Plural(len(in.Files), "file"), what)
	}
	for _, f := range m.Remote {
		what := "packed"
		if !f.Packed {
			what = "left out, " + string(f.Digest)
		}
		if !f.Aside {
			row("from "+f.URL, "%s, %s", text.Size(f.Bytes), what)
		}
	}
	for _, s := range m.Stages {
		what := s.Type + fmt.Sprintf(" version %d", s.Version)
		if s.Answers > 0 {
			what += ", " + text.Plural(s.Answers, "answer")
		}
		if s.Packed {
			what += ", result packed"
		}
		if s.Note != "" {
			what += " (" + s.Note + ")"
		}
		row("stage "+s.Name, "%s", what)
	}
	if files {
		for _, e := range m.Entries {
			row("file "+e.Path, "%s, %s", text.Size(e.Bytes), e.Digest)
		}
	}
	return tw.Flush()
}

// Verdicts writes how the stages of a replay compare, and counts them.
func Verdicts(w io.Writer, list []bundle.Compared) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	count := map[bundle.Verdict]int{}
	for _, c := range list {
		count[c.Verdict]++
		reason, _, _ := strings.Cut(c.Reason, "\n")
		fmt.Fprintln(tw, strings.TrimRight(fmt.Sprintf("%s\t%s\t%s", c.Verdict, c.Stage, reason), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(list) > 0 {
		fmt.Fprintf(w, "\n%s: %d equal, %d packed, %d deviate, %d missing\n", text.Plural(len(list), "stage"),
			count[bundle.Equal], count[bundle.Packed], count[bundle.Deviates], count[bundle.Missing])
	}
	return nil
}

// inputFiles counts the packed files that stages read.
func inputFiles(m *bundle.Manifest) int {
	n := 0
	for _, in := range m.Inputs {
		if in.Packed {
			n += len(in.Files)
		}
	}
	for _, f := range m.Remote {
		if f.Packed && !f.Aside {
			n++
		}
	}
	return n
}

// leftOut counts the files of models that a bundle only names.
func leftOut(m *bundle.Manifest) (n int, size int64) {
	for _, f := range m.Remote {
		if f.Heavy && !f.Packed {
			n, size = n+1, size+f.Bytes
		}
	}
	return n, size
}

// packedResults counts the results in a bundle.
func packedResults(m *bundle.Manifest) int {
	n := 0
	for _, s := range m.Stages {
		if s.Packed {
			n++
		}
	}
	return n
}
