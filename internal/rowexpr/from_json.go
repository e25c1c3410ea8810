package rowexpr

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// FromJSON turns JSON into what expressions compute with; whole numbers become ints.
func FromJSON(v gjson.Result) any {
	switch v.Type {
	case gjson.String:
		return v.String()
	case gjson.Number:
		if n, err := strconv.Atoi(v.Raw); err == nil {
			return n
		}
		return v.Float()
	case gjson.True, gjson.False:
		return v.Bool()
	case gjson.Null:
		return nil
	}
	if v.IsArray() {
		list := []any{}
		v.ForEach(func(_, e gjson.Result) bool {
			list = append(list, FromJSON(e))
			return true
		})
		return list
	}
	m := map[string]any{}
	v.ForEach(func(k, e gjson.Result) bool {
		m[k.String()] = FromJSON(e)
		return true
	})
	return m
}
