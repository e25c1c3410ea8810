package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/internal/base/text"
)

func duration(d time.Duration) string { return text.Duration(d) }

// rate prints a speed with a few significant digits.
func rate(perSecond float64) string {
	switch {
	case perSecond >= 99.95:
		return fmt.Sprintf("%.0f/s", perSecond)
	case perSecond >= 1:
		return fmt.Sprintf("%.1f/s", perSecond)
	case perSecond*60 >= 1:
		return fmt.Sprintf("%.1f/min", perSecond*60)
	}
	return fmt.Sprintf("%.1f/h", perSecond*3600)
}

// maxValues bounds how many values one line shows.
const maxValues = 6

// Values prints figures in the order of their names, loss first because that is
// what people wait for.
func Values(m map[string]float64) string {
	if _, ok := m["calls"]; ok {
		return calls(m)
	}
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		rank := func(s string) int {
			if strings.HasPrefix(s, "loss") {
				return 0
			}
			return 1
		}
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for i, name := range names {
		if i == maxValues {
			break
		}
		x := strconv.FormatFloat(m[name], 'g', 4, 64)
		if v := m[name]; v >= 1e4 && v < 1e15 {
			x = strconv.FormatFloat(v, 'f', 0, 64)
		}
		parts = append(parts, text.OneLine(name)+" "+x)
	}
	return strings.Join(parts, ", ")
}

// maxNames bounds how many stages one line names.
const maxNames = 6

// names prints a list of stages, the long tail as a count.
func names(list []string) string {
	if len(list) > maxNames {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNames], ", "), len(list)-maxNames)
	}
	return strings.Join(list, ", ")
}

// outputs prints the row counts of a stage's outputs.
func outputs(m map[string]event.Output) string {
	var parts []string
	for _, port := range slices.Sorted(maps.Keys(m)) {
		if n := m[port].Rows; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", text.OneLine(port), n))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "rows: " + strings.Join(parts, ", ")
}

func joinNonEmpty(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}

// percent prints a share with one decimal, as in "62.5 %".
func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }

// interval prints a 95 % interval in percent, as in "55.1 to 69.3".
func interval(low, high float64) string {
	return strconv.FormatFloat(100*low, 'f', 1, 64) + " to " + strconv.FormatFloat(100*high, 'f', 1, 64)
}
