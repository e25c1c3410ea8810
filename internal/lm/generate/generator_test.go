package generate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
)

// somePrompts are n prompts of 1 to 12 tokens.
func somePrompts(n int) [][]int32 {
	r := rand.New(rand.NewPCG(3, 4))
	out := make([][]int32, n)
	for i := range out {
		for range 1 + r.IntN(12) {
			out[i] = append(out[i], int32(3+r.IntN(8)))
		}
	}
	return out
}

// Without graphs a row is the same to the bit whoever shares its batch, although rows that
// end make place for others.
func TestCompanyChangesNothing(t *testing.T) {
	dev, m := model(t, decoder.Gemma, 2)
	g, err := New(dev, m)
	if err != nil {
		t.Fatal(err)
	}
	if g.host == nil {
		t.Skip("the device needs graphs")
	}
	prompts := somePrompts(9)
	for _, temperature := range []float64{0, 1} {
		var want []Output
		for _, batch := range []int{1, 3, 9} {
			calls := 0
			got, err := g.Run(context.Background(), prompts, Options{MaxNew: 12, Batch: batch, Temperature: temperature, Seed: 5,
				Progress: func(done, total int) { calls = done }})
			if err != nil {
				t.Fatal(err)
			}
			if calls != len(prompts) {
				t.Errorf("%d of %d rows were reported", calls, len(prompts))
			}
			if want == nil {
				want = got
			}
			for i := range got {
				if !slices.Equal(got[i].IDs, want[i].IDs) || !slices.Equal(got[i].LogProbs, want[i].LogProbs) {
					t.Errorf("temperature %g, row %d: %v in batches of %d, %v alone", temperature, i, got[i], batch, want[i])
				}
			}
		}
		lengths := map[int]bool{}
		for _, o := range want {
			lengths[len(o.IDs)] = true
		}
		if len(lengths) < 2 {
			t.Error("all rows are of one length: the test shows nothing")
		}
	}
}

// Prompts that come later take the places of rows that ended, and get what they get alone.
func TestMore(t *testing.T) {
	dev, m := model(t, decoder.Gemma, 2)
	g, err := New(dev, m)
	if err != nil {
		t.Fatal(err)
	}
	if g.host == nil {
		t.Skip("the device needs graphs")
	}
	prompts := somePrompts(9)
	seeds := make([]uint64, len(prompts))
	for i := range seeds {
		seeds[i] = uint64(10 + i)
	}
	o := Options{MaxNew: 12, Batch: 3, Temperature: 1, Seeds: seeds}
	want, err := g.Run(context.Background(), prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	next := 2
	each := map[int]Output{}
	o.Seeds = seeds[:next]
	o.Each = func(row int, out Output) { each[row] = out }
	o.More = func(room int) (out []Prompt) {
		if room < 1 || room > 3 {
			t.Errorf("room for %d", room)
		}
		if next < len(prompts) { // one at a time
			out = append(out, Prompt{prompts[next], seeds[next]})
			next++
		}
		return out
	}
	got, err := g.Run(context.Background(), prompts[:next], o)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(each) != len(want) {
		t.Fatalf("%d rows, %d handed over, want %d", len(got), len(each), len(want))
	}
	for i := range want {
		for _, o := range []Output{got[i], each[i]} {
			if !slices.Equal(o.IDs, want[i].IDs) || !slices.Equal(o.LogProbs, want[i].LogProbs) {
				t.Errorf("row %d: %v, want %v", i, o, want[i])
			}
		}
	}
	o.Seeds, o.More = nil, func(int) []Prompt { return []Prompt{{}} }
	if _, err := g.Run(context.Background(), prompts[:1], o); err == nil {
		t.Error("an empty prompt came later and was accepted")
	}
}

// Adapters change the same whether graphs are used or not, and as they are at each call.
func TestAdapters(t *testing.T) {
	dev, m := model(t, decoder.Llama, 3)
	c, err := lora.Config{Rank: 3, Alpha: 6, Targets: []string{"*"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	s, err := lora.Init(m.Config, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	m.Adapt(c, s)
	m.Ends = nil
	prompts := somePrompts(5)
	var before map[string][]Output
	gens := generators(t, dev, m)
	for round := range 2 {
		got := map[string][]Output{}
		for kind, g := range gens {
			if got[kind], err = g.Run(context.Background(), prompts, Options{MaxNew: 6}); err != nil {
				t.Fatal(err)
			}
			for i, o := range got[kind] {
				for j, v := range o.LogProbs {
					if w := got["graphs"]; w != nil && (len(w[i].LogProbs) <= j || math.Abs(v-w[i].LogProbs[j]) > 1e-4) {
						t.Fatalf("round %d row %d token %d by %s: %v, by graphs %v", round, i, j, kind, o, w[i])
					}
				}
				if round > 0 && slices.Equal(o.LogProbs, before[kind][i].LogProbs) {
					t.Errorf("row %d by %s does not see what changed", i, kind)
				}
			}
		}
		before = got
		r := rand.New(rand.NewPCG(1, 1))
		for k := 1; k < len(s); k += 2 { // B was zero
			for i := range s[k].Data {
				s[k].Data[i] = float32(r.NormFloat64()) / 2
			}
		}
	}
}

// Parameters in bfloat16 give what the same numbers in float32 give, without graphs.
func TestBFloat16(t *testing.T) {
	dev, m := model(t, decoder.Llama, 3)
	half, full := m, m
	half.Params, full.Params = nil, nil
	for _, p := range m.Params {
		x := p.(*tensors.Tensor)
		flat := tensors.MustCopyFlatData[float32](x)
		b := make([]bfloat16.BFloat16, len(flat))
		for i, v := range flat {
			b[i] = bfloat16.FromFloat32(v)
			flat[i] = b[i].Float32()
		}
		half.Params = append(half.Params, tensors.FromFlatDataAndDimensions(b, x.Shape().Dimensions...))
		full.Params = append(full.Params, tensors.FromFlatDataAndDimensions(flat, x.Shape().Dimensions...))
	}
	var got [2][]Output
	for i, m := range []Model{half, full} {
		g, err := New(dev, m)
		if err != nil {
			t.Fatal(err)
		}
		if g.host == nil {
			t.Skip("the device needs graphs")
		}
		if got[i], err = g.Run(context.Background(), somePrompts(4), Options{MaxNew: 8}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range got[0] {
		if !slices.Equal(got[0][i].IDs, got[1][i].IDs) || !slices.Equal(got[0][i].LogProbs, got[1][i].LogProbs) {
			t.Errorf("row %d: %v in bfloat16, %v in float32", i, got[0][i], got[1][i])
		}
	}
}

func TestNaNWeights(t *testing.T) {
	dev, m := model(t, decoder.Llama, 1)
	g, err := New(dev, m)
	if err != nil {
		t.Fatal(err)
	}
	if g.host == nil {
		t.Skip("the device needs graphs")
	}
	bad := slices.Clone(m.Params)
	last := bad[len(bad)-2].(*tensors.Tensor) // the final norm
	v := tensors.MustCopyFlatData[float32](last)
	v[0] = float32(math.NaN())
	bad[len(bad)-2] = tensors.FromFlatDataAndDimensions(v, len(v))
	m.Params = bad
	for _, temperature := range []float64{0, 1} {
		if _, err := Run(context.Background(), dev, m, somePrompts(2), Options{MaxNew: 3, Temperature: temperature}); !errors.Is(err, errNotNumbers) {
			t.Errorf("temperature %g: %v", temperature, err)
		}
	}
}

// Calls side by side and of the same shapes compile once and agree.
func TestGraphsAreKept(t *testing.T) {
	dev, m := model(t, decoder.Llama, 3)
	g := generators(t, dev, m)["graphs"]
	prompts := somePrompts(4)
	want, err := g.Run(context.Background(), prompts, Options{MaxNew: 5})
	if err != nil {
		t.Fatal(err)
	}
	first := g.cache.used.Front().Value.(*entry).r
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			got, err := g.Run(context.Background(), prompts, Options{MaxNew: 5})
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
		})
	}
	wg.Wait()
	if n := g.cache.used.Len(); n != 1 || g.cache.used.Front().Value.(*entry).r != first {
		t.Errorf("%d pairs of graphs for one shape", n)
	}
	g.Close()
	if got, err := g.Run(context.Background(), prompts, Options{MaxNew: 5}); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after Close: %v, %v", got, err)
	}
}

func TestCache(t *testing.T) {
	var c cache
	made := 0
	get := func(rows int, fail error) (*entry, error) {
		return c.get(shape{rows: rows}, func() (*runner, error) { made++; return &runner{}, fail })
	}
	boom := errors.New("boom")
	if _, err := get(1, boom); err != boom || c.used.Len() != 0 {
		t.Fatalf("%v, %d kept", err, c.used.Len())
	}
	held, err := get(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for rows := range 2 * kept {
		e, err := get(10+rows, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.put(e)
	}
	if c.used.Len() != kept || len(c.all) != kept || made != 2+2*kept {
		t.Errorf("%d and %d kept, %d made", c.used.Len(), len(c.all), made)
	}
	if !held.gone || held.r == nil {
		t.Error("what is in use must be forgotten but not freed")
	}
	c.put(held)
	if held.r != nil {
		t.Error("what nobody uses any more must be freed")
	}
	c.clear()
	if c.used.Len() != 0 {
		t.Error("something is left")
	}
}

func TestLadder(t *testing.T) {
	last := 0
	steps := map[int]bool{}
	for n := 1; n < 5000; n++ {
		l := ladder(n)
		if l < n || l < last || n > 2 && 2*l > 3*n+1 {
			t.Fatalf("%d becomes %d, the one before it %d", n, l, last)
		}
		last, steps[l] = l, true
	}
	if len(steps) > 26 {
		t.Errorf("%d sizes", len(steps))
	}
}

// The heap finds what sorting everything finds.
func TestMost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for n := 1; n < 60; n++ {
		x := make([]float32, n)
		all := make([]int32, n)
		for i := range x {
			x[i], all[i] = float32(r.IntN(20)), int32(i)
			if r.IntN(10) == 0 {
				x[i] = float32(math.NaN())
			}
		}
		slices.SortFunc(all, func(a, b int32) int { return cmp.Or(cmp.Compare(x[b], x[a]), int(a-b)) })
		for k := 1; k <= n; k++ {
			if got := new(sampler).most(x, k); !slices.Equal(got, all[:k]) {
				t.Fatalf("%v: the %d most are %v, want %v", x, k, got, all[:k])
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 9))
	x := make([]float32, 1<<18)
	for i := range x {
		x[i] = float32(3 * r.NormFloat64())
	}
	for name, o := range map[string]Options{"plain": {Temperature: 1}, "top-k": {Temperature: 1, TopK: 50}, "top-p": {Temperature: 1, TopP: 0.9}} {
		b.Run(name, func(b *testing.B) {
			s := newSampler(o, 0)
			for b.Loop() {
				s.draw(x)
			}
		})
	}
}
