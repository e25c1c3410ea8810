package example

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/stages/train"
)

// JSON writes an example as one object.
func JSON(w io.Writer, r *train.Rendered) error {
	return view.Indented(w, r)
}

// Text writes an example as a table of its tokens and the text.
func Text(out io.Writer, r *train.Rendered) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "stage %s (%s), row %d of %d usable: problem %s, style %s, path %d\n", r.Stage, r.Uses, r.Row, r.Rows, r.ID, r.Style, r.Path)
	fmt.Fprintf(w, "student %s", r.Student)
	if len(r.Students) > 1 {
		fmt.Fprintf(w, " of %s", strings.Join(r.Students, ", "))
	}
	fmt.Fprint(w, "\n\n")
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "token\tid\ttext\tend\tloss\tweight")
	for _, t := range r.Tokens {
		text, loss := fmt.Sprintf("%q", t.Text), "no"
		if t.Special {
			text = "special " + t.Text
		}
		if t.Loss {
			loss = "yes"
		}
		fmt.Fprintf(tw, "%d\t%d\t%s\t%d\t%s\t%.6g\n", t.Index, t.ID, text, t.End, loss, t.Weight)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s: %d of the prompt, %d with loss", text.Plural(len(r.Tokens), "token"), r.PromptTokens, r.SupervisedTokens)
	if r.ReasoningTokens > 0 {
		fmt.Fprintf(w, ", %d of them of the reasoning", r.ReasoningTokens)
	}
	fmt.Fprintf(w, "; max_seq %d\n", r.MaxSeq)
	switch {
	case r.Dropped != "":
		fmt.Fprintf(w, "dropped: %s\n", r.Dropped)
	case r.HeldOut:
		fmt.Fprintln(w, "held out: it measures the dev loss and is not trained on")
	default:
		fmt.Fprintln(w, "trained on")
	}
	fmt.Fprintf(w, "\n%s\n", marked(r.Tokens))
	return w.Flush()
}

// marked joins the tokens' texts, with what carries loss between ⟦ and ⟧.
func marked(tokens []train.RenderedToken) string {
	var b strings.Builder
	open := false
	for _, t := range tokens {
		if t.Loss != open {
			if open = t.Loss; open {
				b.WriteString("⟦")
			} else {
				b.WriteString("⟧")
			}
		}
		b.WriteString(t.Text)
	}
	if open {
		b.WriteString("⟧")
	}
	return b.String()
}
