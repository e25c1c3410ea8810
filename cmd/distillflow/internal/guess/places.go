package guess

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/expr"
)

// place is somewhere that rows have values: a field, or a path such as a.b[0].
type place struct {
	path   string
	term   string // the path as a row expression says it
	source string // the path as a recipe says it: the term where it reads like one
	name   string // what the path ends in, in one spelling: answerKey is answer_key
	depth  int
	values []gjson.Result // by row; one that does not exist where the row has none
	filled int            // rows with a value that says something
}

// Bounds on the places that are looked at: the names in objects may be data.
const (
	maxDepth  = 3
	maxPlaces = 5000
	maxNested = 1000
)

// enough is the share of the rows that must agree with a guess: data has slips.
const enough = 0.9

// placesOf lists the places of rows in the order in which the rows name them.
func placesOf(rows [][]byte) []*place {
	var all []*place
	known := map[string]*place{}
	nested := 0
	for i, row := range rows {
		var walk func(prefix, term string, v gjson.Result, depth int)
		walk = func(prefix, term string, v gjson.Result, depth int) {
			v.ForEach(func(k, v gjson.Result) bool {
				path := prefix + k.String()
				p := known[path]
				if p == nil {
					if len(all) == maxPlaces || depth > 0 && nested == maxNested {
						return true
					}
					nested += min(depth, 1)
					p = &place{path: path, term: member(term, k.String()), source: path, name: spelt(k.String()), depth: depth, values: make([]gjson.Result, len(rows))}
					if expressive.MatchString(strings.ReplaceAll(path, "[0].", ".")) {
						p.source = p.term
					}
					known[path] = p
					all = append(all, p)
				}
				p.values[i] = v
				if says(v) {
					p.filled++
				}
				switch first := v.Get("0"); {
				case depth >= maxDepth:
				case v.IsObject():
					walk(path+".", p.term, v, depth+1)
				case v.IsArray() && first.IsObject() && len(v.Array()) == 1:
					walk(path+"[0].", p.term+"[0]", first, depth+1)
				}
				return true
			})
		}
		walk("", "", gjson.ParseBytes(row), 0)
	}
	return all
}

// says reports a value that is not missing, null or blank.
func says(v gjson.Result) bool {
	switch {
	case !v.Exists(), v.Type == gjson.Null:
		return false
	case v.Type == gjson.String:
		return strings.TrimSpace(v.Str) != ""
	case v.IsArray():
		return len(v.Array()) > 0
	}
	return true
}

func spelt(name string) string {
	var b strings.Builder
	before := ' '
	for _, r := range name {
		if unicode.IsUpper(r) && unicode.IsLower(before) || r == '-' || r == ' ' {
			b.WriteByte('_')
		}
		if r != '-' && r != ' ' {
			b.WriteRune(unicode.ToLower(r))
		}
		before = r
	}
	return strings.Trim(b.String(), "_")
}

// share is that of all rows for whose value here ok holds.
func (p *place) share(ok func(v gjson.Result) bool) float64 {
	n := 0
	for _, v := range p.values {
		if says(v) && ok(v) {
			n++
		}
	}
	return float64(n) / float64(len(p.values))
}

func (p *place) mostly(ok func(v gjson.Result) bool) bool { return p.share(ok) >= enough }

func isString(v gjson.Result) bool { return v.Type == gjson.String }

func isScalar(v gjson.Result) bool { return v.Exists() && !v.IsObject() && !v.IsArray() }

// varied reports that the rows do not all say one of a few things here.
func (p *place) varied() bool { return 10*p.different() >= len(p.values) }

// different counts the values that differ.
func (p *place) different() int {
	seen := map[string]bool{}
	for _, v := range p.values {
		seen[v.Raw] = true
	}
	return len(seen)
}

// size is how many bytes the rows have here.
func (p *place) size() (n int) {
	for _, v := range p.values {
		n += len(v.String())
	}
	return n
}

// rank is where a place's name stands in a list of names, the best first; -1 where it
// does not. Names at the top of a row go before the same inside it.
func (p *place) rank(names string) int {
	i := slices.Index(strings.Fields(names), p.name)
	if i < 0 {
		return -1
	}
	return 2*i + min(p.depth, 1)
}

// isID reports a place that is called like one that names its row.
func (p *place) isID() bool { return p.rank(idNames) >= 0 || strings.HasSuffix(p.name, "_id") }

// byName gives the places that have one of the names and pass ok, the best name first.
func byName(all []*place, names string, ok func(*place) bool) []*place {
	var found []*place
	for _, p := range all {
		if p.rank(names) >= 0 && ok(p) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b *place) int { return a.rank(names) - b.rank(names) })
	return found
}

// word is a name that a row expression can say as it is, unless it is one of the
// language.
var (
	word     = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	language = regexp.MustCompile(`^(and|or|not|in|let|if|else|true|false|nil|matches|contains|startsWith|endsWith)$`)
)

// expressive tells names that scan may read as an expression.
var expressive = regexp.MustCompile("^$|[][{}\"'`?$!|=<>*+%^]|^[-(]|\\w\\(| [-/] ")

// member says a member of an object, or, for "", of the row.
func member(object, name string) string {
	switch plain := word.MatchString(name); {
	case object != "" && plain:
		return object + "." + name
	case object != "":
		return fmt.Sprintf("%s[%q]", object, name)
	case plain && !language.MatchString(name) && !slices.Contains(expr.Functions(), name):
		return name
	}
	return fmt.Sprintf("$env[%q]", name)
}
