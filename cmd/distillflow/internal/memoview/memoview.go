// Package memoview shows what the memo of paid answers holds.
package memoview

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/llm"
)

// Summary is a memo and its account. Fields of its JSON are only ever added.
type Summary struct {
	Dir     string         `json:"dir"`
	Where   string         `json:"-"` // how Dir was found, for people
	Bytes   int64          `json:"bytes"`
	Files   int            `json:"files"`
	Answers int            `json:"answers"`
	Models  []llm.Spending `json:"models"`
	Recipes []llm.Spending `json:"recipes"`
	Batches int            `json:"batches"` // open
}

// Text writes a summary for people.
func (s Summary) Text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "memo\t%s\t(%s)\n", s.Dir, s.Where)
	fmt.Fprintf(tw, "size\t%s in %s\n", text.Size(s.Bytes), text.Plural(s.Files, "file"))
	fmt.Fprintf(tw, "answers\t%d\n", s.Answers)
	fmt.Fprintf(tw, "open batches\t%d\n", s.Batches)
	if s.Answers > 0 {
		spending(tw, "model", s.Models)
		spending(tw, "recipe", s.Recipes)
	}
	return tw.Flush()
}

func spending(tw *tabwriter.Writer, by string, list []llm.Spending) {
	_ = tw.Flush() // a table has columns of its own; the last Flush reports errors
	fmt.Fprintf(tw, "\n%s\tanswers\ttokens in\ttokens out\tspent\n", by)
	for _, s := range list {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%s\n", cmp.Or(s.Name, "unknown"), s.Answers, s.PromptTokens, s.CompletionTokens, spent(s))
	}
}

// spent says what is known of the price of answers.
func spent(s llm.Spending) string {
	switch s.Unpriced {
	case 0:
		return dollars(s.USD)
	case s.Answers:
		return "unknown"
	}
	return fmt.Sprintf("%s, and unknown for %s", dollars(s.USD), text.Plural(s.Unpriced, "answer"))
}

func dollars(v float64) string {
	if v < 1 {
		return fmt.Sprintf("$%.4f", v)
	}
	return fmt.Sprintf("$%.2f", v)
}

// Batches lists open batches for people.
func Batches(w io.Writer, list []llm.OpenBatch) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, b := range list {
		fmt.Fprintf(tw, "%s\t%s/%s\t%s\tat most %s\t%s\n", cmp.Or(b.ID, "-"), b.Provider, b.Model,
			text.Plural(b.Requests, "request"), dollars(b.Worst.USD), b.At.UTC().Format(time.RFC3339))
	}
	return tw.Flush()
}

// Verified is what reading the whole memo found.
type Verified struct {
	Records int `json:"records"`
	Damaged int `json:"damaged"`
	Keys    int `json:"containing_key"` // answers that contain [llm.ReplacedKey]
}

// Text writes the findings for people.
func (v Verified) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s sound, %d damaged\n", text.Plural(v.Records, "record"), v.Damaged)
	if v.Keys > 0 {
		_, err = fmt.Fprintf(w, "%s with %q in the place of an API key: `distillflow memo forget --containing %q` has them asked again\n",
			text.Plural(v.Keys, "answer"), llm.ReplacedKey, llm.ReplacedKey)
	}
	return err
}

// JSON writes what a command shows for other programs.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
