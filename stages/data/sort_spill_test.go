package data

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
)

// TestSortInLittleMemory checks that rows sorted in parts on disk come as those
// sorted in memory do, through merges of merges too.
func TestSortInLittleMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, `{"id":"%d","task":"gsm8k","question":"q%d","gold_answer":"1","level":%d}`+"\n", i, r.IntN(20), r.IntN(4))
	}
	inputs := map[string][]stage.Input{"rows": {{Path: write(t, t.TempDir(), "rows", b.String()), Label: "rows"}}}
	config := `{"by":["level desc","question"]}`
	out, err := within(t, Sort, config, inputs, "rows")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readRows(t, out)); n != 500 {
		t.Fatalf("%d rows", n)
	}
	for _, limit := range []int{1, 2000, 50_000} {
		small := stage.Define(Sort.Spec, func(ctx context.Context, env *stage.Env, c sortConfig, in sortIn, out sortOut) error {
			return sortWithin(ctx, env, c, in, out, limit)
		})
		out, err := within(t, small, config, inputs, "rows")
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out)
		if d := cmp.Diff(string(want), string(got)); d != "" || err != nil {
			t.Errorf("limit %d: %v %s", limit, err, d)
		}
	}
}
