package rowexpr

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/file"
)

// Error is a mistake in an expression, or what went wrong with a row.
type Error struct {
	Line, Column int // 1-based, in characters; 0 where the whole is meant
	Msg          string
	Suggestion   string // what was probably meant; "" where that is not known
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Msg
	switch {
	case e.Line > 1:
		s = fmt.Sprintf("line %d, column %d of the expression: %s", e.Line, e.Column, s)
	case e.Column > 0:
		s = fmt.Sprintf("column %d of the expression: %s", e.Column, s)
	}
	if e.Suggestion != "" {
		s += fmt.Sprintf("; did you mean %q?", e.Suggestion)
	}
	return s
}

var (
	badToken  = regexp.MustCompile(`^unexpected token (\w+)(?:\("(.*)"\))?`)
	nilAssert = regexp.MustCompile(`interface conversion: interface \{\} is (\S+), not (\S+)`)
	nilOp     = regexp.MustCompile(`<nil>|of nil|from nil`)
)

// wordError turns an error of the library into ours.
func wordError(src string, err error) *Error {
	msg := strings.TrimSpace(strings.SplitN(err.Error(), "\n", 2)[0])
	e := &Error{}
	var fe *file.Error
	if errors.As(err, &fe) {
		msg = strings.TrimSpace(strings.SplitN(fe.Message, "\n", 2)[0])
		e.Line, e.Column = position(src, fe.From)
	}
	if m := badToken.FindStringSubmatch(msg); m != nil {
		msg = fmt.Sprintf("%q cannot stand here", m[2])
		if m[1] == "EOF" {
			msg = "the expression ends too early"
		}
	}
	if m := nilAssert.FindStringSubmatch(msg); m != nil {
		msg = fmt.Sprintf("a %s is needed here, not %s", m[2], strings.ReplaceAll(m[1], "nil", "null"))
	}
	if nilOp.MatchString(msg) || strings.Contains(msg, "not null") {
		msg = strings.ReplaceAll(msg, "<nil>", "null") + `: the row lacks a field; give it a default, as in (field ?? 0)`
	}
	e.Msg = msg
	return e
}

// position turns an offset in characters into line and column.
func position(src string, offset int) (line, column int) {
	line, column = 1, 1
	for i, r := range []rune(src) {
		if i >= offset {
			break
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

// describe names a type as recipes call it.
func describe(t reflect.Type) string {
	if t == nil {
		return "null"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Int, reflect.Int64, reflect.Float64, reflect.Float32:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a value of another kind"
}

// suggest finds the candidate within limit edits (insert, delete, replace, swap
// of neighbours), without regard to case. Names under four letters are never
// near: too many of them are.
func suggest(name string, candidates []string, limit int) string {
	if len(name) < 4 || len(name) > 64 {
		return ""
	}
	best, dist := "", limit+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < dist && d <= len(c)/3 && c != name {
			best, dist = c, d
		}
	}
	return best
}

// distance is the optimal string alignment distance over bytes: Levenshtein's
// with swaps of neighbours, see https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance.
func distance(a, b string) int {
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev2, prev, cur := rows[0], rows[1], rows[2]
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = prev, cur, prev2
	}
	return rows[1][len(b)]
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
