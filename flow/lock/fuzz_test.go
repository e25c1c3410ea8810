package lock

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A lock that is read can be written, and reads as the same.
func FuzzParse(f *testing.F) {
	good, err := Encode("r.yaml", &Recipe{Program: "1", Seed: 7, Stages: map[string]*Stage{
		"a": {Preimage: plan.Preimage{Type: "scan", Config: map[string]json.RawMessage{"root": json.RawMessage(`{"a": "<&>"}`)}}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, s := range []string{
		`{"format":1,"recipes":{"r.yaml":null}}`, `{"format":1,"recipes":{"r.yaml":{"stages":{"a":null}}}}`, `{"format":2}`,
		`{"format":1,"recipes":{"r":{"seed":-1}}}`, `{"format":1,"recipes":{"r":{"stages":{"a":{"config":{"x":null,"y":[1, 2]}}}}}}`,
		strings.Repeat(`{"recipes":`, 20_000),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 200, 1<<20, func() {
			l, err := parse("distillflow.lock", b)
			if err != nil {
				if !strings.Contains(err.Error(), "distillflow.lock") {
					t.Errorf("%v does not name the file", err)
				}
				return
			}
			once, err := encode(l)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parse("distillflow.lock", once)
			if err != nil {
				t.Fatalf("%v\n%s", err, once)
			}
			if twice, err := encode(again); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("unstable (%v):\n%s\n%s", err, once, twice)
			}
		})
	})
}
