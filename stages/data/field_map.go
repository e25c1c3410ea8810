package data

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/base/suggest"
	"github.com/distillflow/distillflow/internal/rowexpr"
)

// source is where a value of a raw row comes from: a field's name, a path such as
// a.b[0] into objects and lists, or an expression over the raw fields. Indexes below 0
// count from the end.
type source struct {
	text    string
	path    []string
	program *rowexpr.Program // nil for names and paths
}

var (
	index = regexp.MustCompile(`\[(-?[0-9]+)\]`)

	// expressive tells an expression from a name: brackets, a call, quotes, or an
	// operator with a space on each side, since names hold dashes, slashes and blanks.
	expressive = regexp.MustCompile("^[-!('`$]|[\\[{\"]|\\w\\(|\\s'|\\?\\?|\\?\\.|" +
		`\s(?:[-+*/%^<>=|?]|\*\*|[=!<>]=|&&|\|\|)\s`)
)

// parseSources reads the sources of one field: those between which ?? stands, outside
// of brackets and quotes.
func parseSources(text string) ([]source, error) {
	var list []source
	parts := alternatives(text)
	for _, part := range parts {
		s, err := parseSource(strings.TrimSpace(part))
		if err != nil {
			if len(parts) > 1 {
				err = fmt.Errorf("%w; ?? stands between sources, unless it is in brackets", err)
			}
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func parseSource(text string) (source, error) {
	s := source{text: text}
	path := strings.TrimPrefix(index.ReplaceAllString(text, ".$1"), ".")
	if path == "" {
		return s, fmt.Errorf("%q is not a place in a row: write a field's name, a path such as a.b[0], or an expression such as int(x) - 1", text)
	}
	if !expressive.MatchString(path) {
		s.path = strings.Split(path, ".")
		return s, nil
	}
	var err error
	if s.program, err = rowexpr.Compile(text, nil, expr.Any); err != nil {
		return s, fmt.Errorf("%w (a field of that name is $env[%q])", err, text)
	}
	return s, nil
}

// alternatives splits a text at every ?? with a space on each side that stands outside
// of brackets and quotes. Brackets and quotes that do not close belong to names.
func alternatives(text string) []string {
	const or = " ?? "
	var list []string
	var quote byte
	depth, start := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '`' || c == '\'' && (i == 0 || strings.IndexByte(" ([{,:", text[i-1]) >= 0):
			quote = c
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case depth == 0 && strings.HasPrefix(text[i:], or):
			list = append(list, text[start:i])
			i += len(or) - 1
			start = i + 1
		}
	}
	if depth != 0 || quote != 0 {
		return strings.Split(text, or)
	}
	return append(list, text[start:])
}

// of gives the source's value in a row. It does not exist where the row has none: no
// such field, or none of those that an expression uses. A field whose name is the whole
// text goes first.
func (s source) of(root gjson.Result) (gjson.Result, error) {
	if v := member(root, s.text); v.Exists() {
		return v, nil
	}
	if s.program == nil {
		v := root
		for _, part := range s.path {
			if v = member(v, part); !v.Exists() {
				break
			}
		}
		return v, nil
	}
	uses := s.names()
	if len(uses) > 0 && !slices.ContainsFunc(uses, func(name string) bool { return there(member(root, name)) }) {
		return gjson.Result{}, nil
	}
	v, err := s.program.Value(jsonRow{root})
	if err != nil {
		return gjson.Result{}, err
	}
	text, err := rowexpr.ToJSON(v)
	return gjson.ParseBytes(text), err
}

// names lists the row's fields that the source needs.
func (s source) names() []string {
	if s.program != nil {
		return s.program.Uses()
	}
	return s.path[:1]
}

// member takes one step. gjson's own paths are not used, because names of data
// must not be read as its queries.
func member(v gjson.Result, name string) gjson.Result {
	var found gjson.Result
	switch {
	case v.IsObject():
		v.ForEach(func(k, e gjson.Result) bool {
			if k.String() == name {
				found = e
				return false
			}
			return true
		})
	case v.IsArray():
		list := v.Array()
		if i, err := strconv.Atoi(name); err == nil && i >= -len(list) && i < len(list) {
			found = list[(i+len(list))%len(list)]
		}
	}
	return found
}

// there reports a value that says something: not missing, null or blank.
func there(v gjson.Result) bool {
	return v.Exists() && v.Type != gjson.Null && (v.Type != gjson.String || strings.TrimSpace(v.Str) != "")
}

// fieldMap maps our fields to where raw rows have them.
type fieldMap map[string][]source

// add maps fields; errors are [stage.FieldError] below the config's field at.
func (m fieldMap) add(fields map[string]string, at ...string) error {
	for _, ours := range slices.Sorted(maps.Keys(fields)) {
		sources, err := parseSources(fields[ours])
		if ours == "" {
			err = errors.New("a mapping needs two names, ours and theirs")
		}
		if err != nil {
			return stage.FieldError{Path: append(slices.Clip(at), ours), Msg: err.Error()}
		}
		m[ours] = sources
	}
	return nil
}

// theirs is how the mapping of one of our fields is written.
func (m fieldMap) theirs(ours string) string {
	var list []string
	for _, s := range m[ours] {
		list = append(list, s.text)
	}
	return strings.Join(list, " ?? ")
}

// take gives the value of one of our fields and the text of its source: the first that
// says something, or else the first that is there. It does not exist where there is none.
// ok, if not nil, may refuse a value.
func (m fieldMap) take(root gjson.Result, ours string, ok func(source, gjson.Result) bool) (value gjson.Result, from string, err error) {
	for _, s := range m[ours] {
		v, err := s.of(root)
		if err != nil {
			return v, s.text, fmt.Errorf("field %q (from %q): %w", ours, s.text, err)
		}
		if there(v) {
			if ok == nil || ok(s, v) {
				return v, s.text, nil
			}
			continue
		}
		if v.Exists() && value.Type == gjson.Null {
			value, from = v, s.text
		}
	}
	return value, from, nil
}

// warnUnseen tells of names in expressions that no row had. An expression of which none
// was seen was not needed, or its field is missing as a whole.
func (m fieldMap) warnUnseen(env *stage.Env) {
	for _, ours := range slices.Sorted(maps.Keys(m)) {
		for _, s := range m[ours] {
			if s.program == nil || len(s.program.Unseen()) == len(s.program.Uses()) {
				continue
			}
			for _, u := range s.program.Unseen() {
				env.Warn("fields.%s: %s", ours, u)
			}
		}
	}
}

// absent says that a row has nothing where one of our fields should be, what it has, and
// what is close. name stands for sources of a field that is not mapped.
func (m fieldMap) absent(root gjson.Result, ours, name string) string {
	const most = 12
	var have []string
	root.ForEach(func(k, _ gjson.Result) bool {
		have = append(have, k.String())
		return true
	})
	shown := strings.Join(have[:min(len(have), most)], ", ")
	if len(have) > most {
		shown += ", ..."
	}
	names := []string{name}
	if m[ours] != nil {
		name, names = m.theirs(ours), nil
		for _, s := range m[ours] {
			names = append(names, s.names()...)
		}
	}
	msg := fmt.Sprintf("the row has nothing at %q; its fields are %s", name, shown)
	for _, n := range names {
		if near := suggest.Near(n, have); near != "" && !slices.Contains(have, n) {
			return msg + fmt.Sprintf(": did you mean %s?", near)
		}
	}
	return msg
}
