package analyze

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"

	layout "github.com/distillflow/distillflow/internal/base/grid"
	plain "github.com/distillflow/distillflow/internal/base/text"
)

// grid is one table, to be printed for a terminal or as Markdown.
type grid struct {
	head  []string
	rows  [][]string
	left  int // this many leading columns hold words; the others hold figures
	notes int // this many trailing columns hold words too
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) writer(show func(string) string) table.Writer {
	return layout.Writer(g.head, g.rows, g.left, g.notes, show)
}

// markdown needs no column widths, so its bytes do not depend on the locale.
func (g *grid) markdown() string {
	return g.writer(func(cell string) string { return cell }).RenderMarkdown() + "\n"
}

// terminal is plain ASCII with a rule below the header. What data and models brought
// along cannot move the cursor.
func (g *grid) terminal() string {
	return layout.Terminal(g.writer(plain.OneLine)) + "\n"
}

// percent prints a share with one decimal, as in "62.5 %".
func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }

// interval prints a 95 % interval in percent, as in "55.1 to 69.3".
func interval(low, high float64) string {
	return strconv.FormatFloat(100*low, 'f', 1, 64) + " to " + strconv.FormatFloat(100*high, 'f', 1, 64)
}

func share(routed, total int) string {
	if total == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%d/%d)", percent(float64(routed)/float64(total)), routed, total)
}

// orDash makes an empty cell visible.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// writeReport writes <name>.md and <name>.json into a folder.
func writeReport(dir, name, markdown string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s.json: %w", name, err)
	}
	for file, data := range map[string][]byte{name + ".md": []byte(markdown), name + ".json": append(b, '\n')} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}
