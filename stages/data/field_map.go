package data

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/suggest"
)

// source is where a value stands in a raw row: a field's name, or a path such as
// a.b[0] into objects and lists. Indexes below 0 count from the end.
type source struct{ text, path string }

var index = regexp.MustCompile(`\[(-?[0-9]+)\]`)

func parseSource(text string) (source, error) {
	s := source{text, strings.TrimPrefix(index.ReplaceAllString(text, ".$1"), ".")}
	if text == "" || strings.ContainsAny(s.path, "[]") {
		return s, fmt.Errorf("%q is not a place in a row: write a field's name, or a path such as a.b[0]", text)
	}
	return s, nil
}

func (s source) of(root gjson.Result) gjson.Result {
	if v := member(root, s.text); v.Exists() {
		return v
	}
	return lookup(root, s.path)
}

// absent says that a row has nothing where a field should be, what it has, and what
// is close.
func absent(root gjson.Result, name string) string {
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
	msg := fmt.Sprintf("the row has nothing at %q; its fields are %s", name, shown)
	if near := suggest.Near(name, have); near != "" && near != name {
		msg += fmt.Sprintf(": did you mean %s?", near)
	}
	return msg
}
