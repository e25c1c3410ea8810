package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
)

// Code names the kind of a reason. It is for display: nothing may decide by it.
type Code string

// The codes.
const (
	Cached         Code = "cached"          // the result is in the store
	CachedRemote   Code = "cached_remote"   // the result is in the cache that others share
	NeverRun       Code = "never_run"       // no result of this stage is known
	ConfigChanged  Code = "config_changed"  // Field: the config field
	InputChanged   Code = "input_changed"   // Field: the input port
	FileChanged    Code = "file_changed"    // Field: the file outside the store
	Implementation Code = "implementation"  // the stage type's version
	TypeChanged    Code = "type_changed"    // another stage type stood here
	SeedChanged    Code = "seed_changed"    // the recipe's seed or the stage's stream; Field says which
	Platform       Code = "platform"        // another backend, architecture or SIMD set
	ResultMissing  Code = "result_missing"  // nothing changed, but the store lost or damaged the result
	Incomplete     Code = "incomplete"      // the last run ended with errors that can be retried
	Upstream       Code = "upstream"        // Field: the stage that has to run first
	WhenFalse      Code = "when_false"      // the stage's when: is false
	UpstreamSkip   Code = "upstream_skip"   // Field: a skipped stage this one needs
	Forced         Code = "forced"          // the user asked for it
	KeyFormat      Code = "key_format"      // written by another version of distillflow
	UpstreamFailed Code = "upstream_failed" // Field: a failed stage this one needs
)

// Reason says why a stage has its status. Old and New are short texts; they are
// empty where the code has no such values.
type Reason struct {
	Code  Code   `json:"code"`
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// String is the reason as a person reads it.
func (r Reason) String() string {
	switch r.Code {
	case Cached:
		return "cached"
	case CachedRemote:
		return "cached (remote)"
	case NeverRun:
		return "never run"
	case ConfigChanged:
		return fmt.Sprintf("%s %s -> %s", r.Field, r.Old, r.New)
	case InputChanged:
		return fmt.Sprintf("input %s changed", r.Field)
	case FileChanged:
		switch {
		case r.Old == "":
			return fmt.Sprintf("file %s is new", name(r.Field))
		case r.New == "":
			return fmt.Sprintf("file %s is gone", name(r.Field))
		}
		return fmt.Sprintf("file %s changed", name(r.Field))
	case Implementation:
		return fmt.Sprintf("implementation v%s -> v%s", r.Old, r.New)
	case TypeChanged:
		return fmt.Sprintf("stage type %s -> %s", r.Old, r.New)
	case SeedChanged:
		return fmt.Sprintf("%s %s -> %s", r.Field, r.Old, r.New)
	case Platform:
		return fmt.Sprintf("platform %s -> %s", r.Old, r.New)
	case ResultMissing:
		return "result missing: " + r.New
	case Incomplete:
		return "incomplete: earlier errors can be retried"
	case Upstream:
		return "waits for " + r.Field
	case WhenFalse:
		return "when: " + r.Old + " is false"
	case UpstreamSkip:
		return r.Field + " is skipped"
	case UpstreamFailed:
		return r.Field + " failed"
	case Forced:
		return "asked for"
	case KeyFormat:
		return "the cache's key format changed"
	}
	return string(r.Code)
}

func name(file string) string {
	if file == "" {
		return "content"
	}
	return file
}

// unset is how a field that stands at its default reads.
const unset = "(default)"

// Diff lists what changed from an older preimage to a newer one. Config fields
// that are not in a preimage stood at their default; def tells it, or "".
func Diff(old, cur *Preimage, def func(field string) string) []Reason {
	if old.Type != cur.Type {
		return []Reason{{Code: TypeChanged, Field: "uses", Old: old.Type, New: cur.Type}}
	}
	var rs []Reason
	if old.Format != cur.Format {
		rs = append(rs, Reason{Code: KeyFormat, Field: "format", Old: strconv.Itoa(old.Format), New: strconv.Itoa(cur.Format)})
	}
	if old.Version != cur.Version {
		rs = append(rs, Reason{Code: Implementation, Field: "version", Old: strconv.Itoa(old.Version), New: strconv.Itoa(cur.Version)})
	}
	rs = append(rs, diffConfig(old.Config, cur.Config, def)...)
	if so, sn := seedText(old.Seed), seedText(cur.Seed); so != sn {
		rs = append(rs, Reason{Code: SeedChanged, Field: "seed", Old: so, New: sn})
	}
	if old.Stream != cur.Stream {
		rs = append(rs, Reason{Code: SeedChanged, Field: "stream", Old: cmp.Or(old.Stream, "none"), New: cmp.Or(cur.Stream, "none")})
	}
	if old.Platform != cur.Platform {
		rs = append(rs, Reason{Code: Platform, Field: "platform", Old: old.Platform, New: cur.Platform})
	}
	rs = append(rs, diffLists(InputChanged, inputTexts(old), inputTexts(cur))...)
	return append(rs, diffLists(FileChanged, fileTexts(old), fileTexts(cur))...)
}

func diffConfig(old, cur map[string]json.RawMessage, def func(string) string) []Reason {
	names := map[string]bool{}
	for k := range old {
		names[k] = true
	}
	for k := range cur {
		names[k] = true
	}
	sorted := make([]string, 0, len(names))
	for k := range names {
		sorted = append(sorted, k)
	}
	sort.Strings(sorted)
	var rs []Reason
	text := func(m map[string]json.RawMessage, k string) string {
		if v, ok := m[k]; ok {
			return string(v)
		}
		if d := def(k); d != "" {
			return d
		}
		return unset
	}
	for _, k := range sorted {
		if o, n := old[k], cur[k]; !bytes.Equal(o, n) {
			rs = append(rs, Reason{Code: ConfigChanged, Field: k, Old: text(old, k), New: text(cur, k)})
		}
	}
	return rs
}

type named struct{ name, text string }

func inputTexts(p *Preimage) []named {
	var l []named
	for _, in := range p.Inputs {
		t := ""
		for i, d := range in.Digests {
			if i > 0 {
				t += ","
			}
			t += string(d)
		}
		l = append(l, named{in.Port, t})
	}
	return l
}

func fileTexts(p *Preimage) []named {
	var l []named
	for _, e := range p.Externals {
		l = append(l, named{e.Name, string(e.Digest)})
	}
	return l
}

func diffLists(code Code, old, cur []named) []Reason {
	find := func(l []named, n string) string {
		if i := slices.IndexFunc(l, func(x named) bool { return x.name == n }); i >= 0 {
			return l[i].text
		}
		return ""
	}
	var rs []Reason
	for _, c := range cur {
		if o := find(old, c.name); o != c.text {
			rs = append(rs, Reason{Code: code, Field: c.name, Old: o, New: c.text})
		}
	}
	for _, o := range old {
		if find(cur, o.name) == "" {
			rs = append(rs, Reason{Code: code, Field: o.name, Old: o.text})
		}
	}
	if len(rs) == 0 && !slices.Equal(old, cur) {
		rs = append(rs, Reason{Code: code, Field: "order"})
	}
	return rs
}

func seedText(s *uint64) string {
	if s == nil {
		return "none"
	}
	return strconv.FormatUint(*s, 10)
}
