package guess

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"
)

// place is somewhere that rows have values: a field, or a path such as a.b[0].
type place struct {
	path   string
	depth  int
	values []gjson.Result // by row; one that does not exist where the row has none
	filled int            // rows with a value that says something
}

// maxDepth is how far into objects places are looked for.
const maxDepth = 3

// placesOf lists the places of rows in the order in which the rows name them.
func placesOf(rows []gjson.Result) []*place {
	var all []*place
	known := map[string]*place{}
	for i, row := range rows {
		var walk func(prefix string, v gjson.Result, depth int)
		walk = func(prefix string, v gjson.Result, depth int) {
			v.ForEach(func(k, v gjson.Result) bool {
				path := prefix + k.String()
				p := known[path]
				if p == nil {
					p = &place{path: path, depth: depth, values: make([]gjson.Result, len(rows))}
					known[path] = p
					all = append(all, p)
				}
				p.values[i] = v
				if says(v) {
					p.filled++
				}
				if depth < maxDepth && v.IsObject() {
					walk(path+".", v, depth+1)
				}
				if first := v.Get("0"); depth < maxDepth && v.IsArray() && first.IsObject() && len(v.Array()) == 1 {
					walk(path+"[0].", first, depth+1)
				}
				return true
			})
		}
		walk("", row, 0)
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

// last is the name that a path ends in, in one spelling: answerKey is answer_key.
func (p *place) last() string {
	name := p.path[strings.LastIndexByte(p.path, '.')+1:]
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

// mostly reports that nearly all rows have a value here for which ok holds.
func (p *place) mostly(ok func(row int, v gjson.Result) bool) bool {
	return p.share(ok) >= enough
}

// share is that of all rows for whose value here ok holds.
func (p *place) share(ok func(row int, v gjson.Result) bool) float64 {
	n := 0
	for i, v := range p.values {
		if says(v) && ok(i, v) {
			n++
		}
	}
	return float64(n) / float64(len(p.values))
}

// enough is the share of the rows that must agree with a guess: data has slips.
const enough = 0.9

func isString(_ int, v gjson.Result) bool { return v.Type == gjson.String }

func isScalar(_ int, v gjson.Result) bool { return v.Exists() && !v.IsObject() && !v.IsArray() }

// rank is where a place's name stands in a list of names, the best first; -1 where it
// does not. Names at the top of a row go before those inside it.
func (p *place) rank(names string) int {
	for i, n := range strings.Fields(names) {
		if p.last() == n {
			return 2*i + min(p.depth, 1)
		}
	}
	return -1
}

// byName gives the places that have one of the names and pass ok, the best name first.
func byName(all []*place, names string, ok func(*place) bool) []*place {
	var found []*place
	for _, p := range all {
		if p.rank(names) < 0 || !ok(p) {
			continue
		}
		at := len(found)
		for at > 0 && found[at-1].rank(names) > p.rank(names) {
			at--
		}
		found = append(found[:at], append([]*place{p}, found[at:]...)...)
	}
	return found
}

var word = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[-?\d+\])*$`)

// reserved are the words of the language of expressions.
var reserved = regexp.MustCompile(`^(and|or|not|in|let|if|else|true|false|nil|matches|contains|startsWith|endsWith)$`)

// term is a place as a row expression says it.
func (p *place) term() string {
	if word.MatchString(p.path) && !reserved.MatchString(p.path) {
		return p.path
	}
	return fmt.Sprintf("$env[%q]", p.path)
}
