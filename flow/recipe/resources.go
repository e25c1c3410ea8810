package recipe

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/diag"
)

// Resources is what a stage declares that it takes while it runs. Zero means not
// declared.
type Resources struct {
	CPUs   float64
	Memory int64 // bytes
	GPUs   int64
}

var resourceKeys = []string{"cpus", "memory", "gpus"}

// They catch typing mistakes.
const (
	maxCPUs    = 1 << 20
	maxRetries = 1000
	maxShards  = 10_000
)

// resources decodes `resources:`.
func (d *decoder) resources(s *Stage, v *Value) {
	if v.IsNull() || !d.want(v, Map, "`resources` maps cpus, memory and gpus to amounts") {
		return
	}
	for _, en := range v.Entries {
		switch en.Key {
		case "cpus":
			n, ok := en.Val.number()
			if !ok {
				d.wrongType(en.Val, "`cpus` is a number of cores")
			} else if !(n >= 0 && n <= maxCPUs) {
				d.outOfRange(en.Val, "`cpus` must be from 0 to %d", maxCPUs)
			} else {
				s.Resources.CPUs = n
			}
		case "gpus":
			if d.want(en.Val, Int, "`gpus` is a whole number") {
				if en.Val.Int < 0 || en.Val.Int > maxCPUs {
					d.outOfRange(en.Val, "`gpus` must be from 0 to %d", maxCPUs)
				} else {
					s.Resources.GPUs = en.Val.Int
				}
			}
		case "memory":
			text := en.Val.Str
			if en.Val.Kind == Int {
				text = strconv.FormatInt(en.Val.Int, 10)
			} else if !d.want(en.Val, String, "`memory` is an amount such as 16GB") {
				continue
			}
			n, err := ParseBytes(text)
			if err != nil {
				d.outOfRange(en.Val, "`memory`: %v", err)
			} else {
				s.Resources.Memory = n
			}
		default:
			d.diags.Add(d.unknownKey(en, "resources", resourceKeys))
		}
	}
}

func (v *Value) number() (float64, bool) {
	switch {
	case v.broken:
		return 0, false
	case v.Kind == Int:
		return float64(v.Int), true
	case v.Kind == Float:
		return v.Float, true
	}
	return 0, false
}

func (d *decoder) outOfRange(v *Value, format string, args ...any) {
	dg := diag.Errorf(v.Pos, "bad-value", format, args...)
	if v.prov == nil {
		dg = dg.Over(v.width())
	}
	d.diags.Add(dg)
}

// timeout decodes `timeout:`.
func (d *decoder) timeout(s *Stage, v *Value) {
	if v.IsNull() {
		return
	}
	if v.Kind == Int && !v.broken {
		d.diags.Add(diag.Errorf(v.Pos, "wrong-type", "`timeout` needs a unit").Over(v.width()).WithHelp("write %ds, %dm or %dh", v.Int, v.Int, v.Int))
		return
	}
	if !d.want(v, String, "`timeout` is a duration such as 90s, 30m or 2h") {
		return
	}
	t, err := time.ParseDuration(strings.ReplaceAll(v.Str, " ", ""))
	if err != nil || t <= 0 {
		d.outOfRange(v, "`timeout` is a duration such as 90s, 30m or 2h, not %q", v.Str)
		return
	}
	s.Timeout = t
}

// retries decodes `retries:`.
func (d *decoder) retries(s *Stage, v *Value) {
	if v.IsNull() || !d.want(v, Int, "`retries` says how often a failed stage runs again") {
		return
	}
	if v.Int < 0 || v.Int > maxRetries {
		d.outOfRange(v, "`retries` is a whole number from 0 to %d", maxRetries)
		return
	}
	s.Retries = int(v.Int)
}

// shards decodes `shards:`.
func (d *decoder) shards(s *Stage, v *Value, at diag.Pos) {
	if v.IsNull() || !d.want(v, Int, "`shards` says among how many tasks the stage's rows are shared out") {
		return
	}
	if v.Int < 1 || v.Int > maxShards {
		d.outOfRange(v, "`shards` is a whole number from 1 to %d", maxShards)
		return
	}
	s.Shards, s.ShardsPos = int(v.Int), at
}

// stream decodes `stream:`.
func (d *decoder) stream(s *Stage, v *Value, at diag.Pos) {
	if v.IsNull() {
		return
	}
	if v.broken || v.Kind == List || v.Kind == Map {
		d.wrongType(v, "`stream` is a name or number")
		return
	}
	s.Stream, s.StreamPos = v.text(), at
}

// byteUnits are the units of ParseBytes, the longest first so that each is
// found before its own ending.
var byteUnits = []struct {
	name string
	size float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"t", 1e12}, {"b", 1},
}

// ParseBytes reads an amount of memory: bytes, or a number with a decimal (kB,
// MB, GB, TB) or binary (KiB, MiB, GiB, TiB) unit in either case.
func ParseBytes(text string) (int64, error) {
	num, size := strings.ToLower(strings.TrimSpace(text)), 1.0
	for _, u := range byteUnits {
		if cut, ok := strings.CutSuffix(num, u.name); ok {
			num, size = strings.TrimSpace(cut), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(num, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n*size >= 1<<62 {
		return 0, fmt.Errorf("%q is not an amount of memory: write one such as 16GB or 512MiB", text)
	}
	return int64(n * size), nil
}
