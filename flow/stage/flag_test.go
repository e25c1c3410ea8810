package stage

import (
	"context"
	"testing"
)

type flagged struct {
	Inner
	Loud  bool   `json:"loud" semantic:"false" doc:"x"`
	Exact bool   `json:"exact" doc:"x"`
	Name  string `json:"name" semantic:"false" doc:"x"`
}

type Inner struct {
	Again bool `json:"again" semantic:"false" doc:"x"`
}

// Only a flag that cannot change the result can be set from outside.
func TestSetFlag(t *testing.T) {
	typ := Define(Spec{Type: "flagged", Version: 1, Class: Pure, Doc: "x"},
		func(context.Context, *Env, flagged, struct{}, struct{}) error { return nil })
	c, errs := typ.Decode(map[string]any{"exact": true})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	before, err := c.Semantic()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"loud": true, "again": true, "exact": false, "name": false, "none": false} {
		if c.Flag(name) {
			t.Errorf("%s is set", name)
		}
		if got := c.SetFlag(name); got != want || c.Flag(name) != want && name != "exact" {
			t.Errorf("%s: %v, and is %v", name, got, c.Flag(name))
		}
	}
	v := c.Value().(flagged)
	if !v.Loud || !v.Again {
		t.Errorf("%+v", v)
	}
	if after, err := c.Semantic(); err != nil || len(after) != len(before) {
		t.Errorf("the key moved: %v, %v", before, after)
	}
}

func TestShared(t *testing.T) {
	made := 0
	create := func() any { made++; return &made }
	s := &Shared{}
	if s.Value("a", create) != s.Value("a", create) || made != 1 {
		t.Errorf("made %d times", made)
	}
	s.Value("b", create)
	var none *Shared
	none.Value("a", create)
	none.Value("a", create)
	if made != 4 {
		t.Errorf("made %d times, want 4", made)
	}
}
