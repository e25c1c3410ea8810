package stage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A config that is taken is written as JSON that is taken as the same, and what is wrong
// with another is said of a field.
func FuzzDecode(f *testing.F) {
	typ := stage.Define(stage.Spec{Type: "t", Version: 1, Class: stage.Pure, Doc: "T."}, func(context.Context, *stage.Env, config, struct{}, struct{}) error { return nil })
	for _, s := range []string{
		`{}`, `null`, `{"text":null,"count":1e3,"seed":18446744073709551615}`, `{"count":9223372036854775808,"seed":-1,"mode":"fats"}`,
		`{"count":1.5,"on":"yes","zzz":1}`, `[1]`, `{"text":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree := func(b []byte) (v any, ok bool) {
			d := json.NewDecoder(bytes.NewReader(b))
			d.UseNumber()
			return v, d.Decode(&v) == nil
		}
		v, ok := tree(b)
		if !ok {
			return
		}
		alloctest.Within(t, len(b), 2000, 1<<20, func() {
			c, errs := typ.Decode(v)
			for _, e := range errs {
				if e.Msg == "" {
					t.Errorf("%+v says nothing", e)
				}
			}
			if len(errs) > 0 {
				return
			}
			once, err := c.JSON()
			if err != nil {
				t.Fatal(err)
			}
			v, _ := tree(once)
			again, errs := typ.Decode(v)
			if len(errs) > 0 {
				t.Fatalf("own JSON refused: %v\n%s", errs, once)
			}
			if twice, err := again.JSON(); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("unstable (%v):\n%s\n%s", err, once, twice)
			}
		})
	})
}
