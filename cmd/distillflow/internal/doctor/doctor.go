// Package doctor looks at what distillflow can use on this machine, and says what is
// missing and what to do about it.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Finding is one line of the report.
type Finding struct {
	Area   string `json:"area"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to do, a command where there is one
}

// The states of a Finding. Only broken makes doctor fail: something is there and
// does not work. What is missing is not needed by everyone.
const (
	OK      = "ok"
	Warning = "warning"
	Missing = "missing"
	Skipped = "not tried"
	Broken  = "broken"
)

// Options adjust [Examine].
type Options struct {
	Program  string // version of distillflow
	Getenv   func(string) string
	Network  bool // also ask servers whether they can be reached
	StoreDir string
	StoreBy  string // what names StoreDir: a flag, a variable, or the default
}

// Examine looks at everything, area by area. It ends early with ctx.
func Examine(ctx context.Context, o Options) []Finding {
	return slices.Concat(build(o.Program), host(), devices(ctx), hubFindings(ctx, o), keys(o.Getenv), []Finding{storeFinding(o)})
}

// JSON writes the findings as one array.
func JSON(w io.Writer, all []Finding) error {
	return view.Indented(w, all)
}

// Text writes the findings as a table.
func Text(w io.Writer, all []Finding) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	area := ""
	for _, x := range all {
		head := ""
		if x.Area != area {
			head, area = x.Area, x.Area
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", head, x.Name, x.State, text.OneLine(x.Detail))
		if x.Fix != "" {
			fmt.Fprintf(tw, "\t\t\t-> %s\n", text.OneLine(x.Fix))
		}
	}
	return tw.Flush()
}

func storeFinding(o Options) Finding {
	out := Finding{"store", "store", OK, fmt.Sprintf("%s (%s)", o.StoreDir, o.StoreBy), ""}
	if _, err := os.Stat(o.StoreDir); errors.Is(err, fs.ErrNotExist) {
		out.Detail += ", not made yet"
		return out
	}
	st, err := store.Open(o.StoreDir, store.Options{ReadOnly: true})
	if err != nil {
		out.State, out.Detail, out.Fix = Broken, err.Error(), "restore it, or name another with --store"
		return out
	}
	defer st.Close()
	runs, err := st.Runs()
	if err != nil {
		out.State, out.Detail, out.Fix = Broken, out.Detail+": "+err.Error(), "distillflow cache verify"
		return out
	}
	out.Detail += ", " + text.Plural(len(runs), "run")
	return out
}
