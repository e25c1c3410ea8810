package safetensors

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// The shards that an index names are files of its own folder.
func FuzzParseIndex(f *testing.F) {
	for _, s := range []string{
		`{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`,
		`{"weight_map":{"a":"../x"}}`, `{"weight_map":{"a":"/x"}}`, `{"weight_map":{"a":".."}}`, `{"weight_map":{"a":"."}}`, `{"weight_map":{"a":""}}`,
		`{"weight_map":{"a":"x\u0000y"}}`, `{"weight_map":{"a":"..\\x"}}`, `{"weight_map":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 200, 1<<20, func() {
			shards, names, err := parseIndex("i.json", b)
			if err != nil {
				if !strings.Contains(err.Error(), "i.json") {
					t.Errorf("%v does not name the file", err)
				}
				return
			}
			if len(names) != len(shards) || len(names) == 0 {
				t.Errorf("%q: %d and %d shards", b, len(names), len(shards))
			}
			for _, n := range names {
				if n == "" || n == "." || n == ".." || strings.ContainsAny(n, "/\\\x00") {
					t.Errorf("shard %q leads out of the folder", n)
				}
			}
		})
	})
}
