package prices

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A table that is taken has no price below zero.
func FuzzParse(f *testing.F) {
	f.Add(builtin)
	f.Add([]byte("as_of: 2026-01-01\nproviders: {x: {models: {m: {input: -1, output: .inf}}}}"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 2000, 4<<20, func() {
			table, err := Parse(b)
			if err != nil {
				return
			}
			for name, p := range table.providers {
				for m := range p.Models {
					if price := table.Find(name, m); price != nil && !(price.Input >= 0 && price.Output >= 0) {
						t.Errorf("%s/%s costs %+v", name, m, price)
					}
				}
			}
		})
	})
}
