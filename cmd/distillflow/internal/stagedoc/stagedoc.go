// Package stagedoc writes the documentation of stage types for people.
package stagedoc

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/distillflow/distillflow/flow/stage"
)

// List writes the name and the first sentence of every stage type.
func List(w io.Writer, reg *stage.Registry) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, name := range reg.Names() {
		t, _ := reg.Lookup(name)
		fmt.Fprintf(tw, "%s\t%s\n", name, Summary(t.Doc))
	}
	return tw.Flush()
}

// Summary is the first sentence of a documentation text.
func Summary(doc string) string {
	doc = strings.Join(strings.Fields(doc), " ")
	if i := strings.Index(doc, ". "); i >= 0 {
		return doc[:i+1]
	}
	return doc
}

// Describe writes all that a recipe's author needs to know of a stage type.
func Describe(w io.Writer, t *stage.Type) error {
	fmt.Fprintf(w, "%s (version %d, %s)\n\n", t.Type, t.Version, nature(t))
	for _, para := range strings.Split(strings.TrimSpace(t.Doc), "\n\n") {
		if !strings.Contains(para, "\n ") && !strings.Contains(para, "\n\t") {
			para = wrap(para, 80, "") // laid out by hand otherwise
		}
		fmt.Fprintf(w, "%s\n\n", para)
	}
	ports := func(title string, ports []stage.Port) {
		if len(ports) == 0 {
			return
		}
		fmt.Fprintf(w, "%s\n", title)
		for i, p := range ports {
			note := ""
			if i == 0 {
				note = ", default"
			}
			if p.Optional {
				note += ", optional"
			}
			fmt.Fprintf(w, "  %s (%s%s)\n%s\n", p.Name, p.TypeName(), note, wrap(p.Doc, 80, "      "))
		}
		fmt.Fprintln(w)
	}
	ports("Inputs", t.Inputs)
	ports("Outputs", t.Outputs)
	if len(t.Config.Fields) > 0 {
		fmt.Fprintln(w, "Fields of with:")
		describeFields(w, t.Config, "  ")
	}
	return nil
}

// nature is a type's class, and whether it works row by row.
func nature(t *stage.Type) string {
	if t.RowByRow == "" {
		return string(t.Class)
	}
	return string(t.Class) + ", row by row"
}

func describeFields(w io.Writer, s *stage.Schema, indent string) {
	for _, f := range s.Fields {
		notes := []string{f.Schema.TypeName()}
		switch {
		case f.Required:
			notes = append(notes, "required")
		case f.HasDef && f.Default != "":
			notes = append(notes, "default "+f.Default)
		}
		notes = append(notes, limits(f)...)
		if !f.Semantic {
			notes = append(notes, "not part of the cache key")
		}
		fmt.Fprintf(w, "%s%s (%s)\n%s\n", indent, f.Name, strings.Join(notes, "; "), wrap(f.Doc, 80, indent+"    "))
		for e := f.Schema; e != nil; e = e.Elem {
			if e.Kind == stage.KindStruct {
				describeFields(w, e, indent+"  ")
			}
		}
	}
}

// limits says which values a field takes.
func limits(f stage.Field) []string {
	var l []string
	if len(f.Choices) > 0 {
		choices := slices.Clone(f.Choices)
		if i := slices.Index(choices, ""); i >= 0 {
			choices[i] = `""`
		}
		l = append(l, "one of "+strings.Join(choices, ", "))
	}
	if f.Min != nil {
		l = append(l, fmt.Sprintf("at least %v", *f.Min))
	}
	if f.Max != nil {
		l = append(l, fmt.Sprintf("at most %v", *f.Max))
	}
	return l
}

// wrap fills a paragraph to a width, each line behind an indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	col := 0
	for _, word := range strings.Fields(text) {
		switch {
		case col == 0:
			b.WriteString(indent)
			col = len(indent)
		case col+1+len([]rune(word)) > width:
			b.WriteString("\n" + indent)
			col = len(indent)
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += len([]rune(word))
	}
	return b.String()
}
