package recipe

import (
	"strconv"
	"strings"
)

// Growth says by what factor a further try of a stage gets more of what the last one
// ran out of. Zero means that it gets no more.
type Growth struct{ Memory, Time float64 }

const (
	maxGrowth     = 100 // catches typing mistakes
	growthRetries = 2   // further tries where `retry:` is given without `retries:`
)

var growthKeys = []string{"memory", "time"}

// growth decodes `retry:`.
func (d *decoder) growth(s *Stage, v *Value) {
	if v.IsNull() || !d.want(v, Map, "`retry` maps memory and time to factors such as x2") {
		return
	}
	for _, en := range v.Entries {
		var to *float64
		switch en.Key {
		case "memory":
			to = &s.Growth.Memory
		case "time":
			to = &s.Growth.Time
		default:
			d.diags.Add(d.unknownKey(en, "retry", growthKeys))
			continue
		}
		if !d.want(en.Val, String, "`"+en.Key+"` is a factor such as x2 or x1.5") {
			continue
		}
		digits, ok := strings.CutPrefix(en.Val.Str, "x")
		f, err := strconv.ParseFloat(digits, 64)
		if !ok || err != nil || !(f > 1 && f <= maxGrowth) {
			d.outOfRange(en.Val, "`%s` is a factor such as x2, above x1 and at most x%d, not %q", en.Key, maxGrowth, en.Val.Str)
			continue
		}
		*to = f
	}
}
