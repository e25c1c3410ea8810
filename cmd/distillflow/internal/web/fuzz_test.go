package web

import (
	"math"
	"net/url"
	"testing"

	"github.com/distillflow/distillflow/flow/event"
)

// What a browser sends is a command, a query and a place that are written as they are read,
// or an error.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"action=pause", "action=set&stage=a&field=rpm&value=1e3", "action=set&stage=a&field=b&value=NaN", "action=set&value=0x1p-2",
		"q=%F0&where=id+%3D%3D+%22a%22&style=s&verdict=right&mark=wrong", "at=12.3", "at=-1.0&sel=1", "at=9223372036854775808.0", "%zz&;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		form, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		if c, err := commandOf(form); err == nil && (c.Action == event.Set && (c.Stage == "" || c.Field == "" || math.IsNaN(c.Value) || math.IsInf(c.Value, 0)) || c.ID != "") {
			t.Errorf("%q: %+v", s, c)
		}
		if q := parseQuery(form); parseQuery(q.Values()) != q {
			t.Errorf("%q: %+v, then %+v", s, q, parseQuery(q.Values()))
		}
		at, err := parsePlace(form.Get("at"))
		if again, err2 := parsePlace(at.String()); err == nil && (err2 != nil || again != at || at.offset < 0 || at.path < 0) {
			t.Errorf("%q: %v, then %v (%v)", s, at, again, err2)
		}
	})
}
