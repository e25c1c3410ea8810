package stage

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Names may be one string or a list, and are the same config either way.
func TestNames(t *testing.T) {
	type cfg struct {
		Device Names `json:"device" default:"[\"auto\"]" doc:"d"`
	}
	s, err := schemaOf(reflect.TypeFor[cfg]())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tree any
		want Names
		err  string
	}{
		{"cuda:0", Names{"cuda:0"}, ""},
		{[]any{"cuda:0", "cuda:1"}, Names{"cuda:0", "cuda:1"}, ""},
		{true, nil, "must be a string or a list, not true"},
		{[]any{"a", 1}, nil, "must be a string, not the number 1"},
	} {
		var got cfg
		d := decoder{}
		d.value(reflect.ValueOf(&got).Elem(), map[string]any{"device": c.tree}, s, nil)
		switch {
		case c.err == "" && (len(d.errs) > 0 || !slices.Equal(got.Device, c.want)):
			t.Errorf("%v: %v, %v", c.tree, got, d.errs)
		case c.err != "" && (len(d.errs) != 1 || !strings.Contains(d.errs[0].Msg, c.err)):
			t.Errorf("%v: %v, want %q", c.tree, d.errs, c.err)
		}
	}
	if got := s.Fields[0].Schema.TypeName(); got != "string or list of string" {
		t.Errorf("called %q", got)
	}
}
