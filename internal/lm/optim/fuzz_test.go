package optim

import (
	"bytes"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// A state is taken as a whole, or is an error and changes nothing.
func FuzzState(f *testing.F) {
	made := func() []*AdamW {
		p := weights.Set{weights.Const(1, "a", 2), weights.Const(1, "b", 3, 2)}
		plain, eight := NewAdamW(p, nil), NewAdamW(p, nil)
		eight.UseEightBit(p, 4)
		return []*AdamW{plain, eight}
	}
	for _, a := range made() {
		b, err := a.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		b = bytes.Clone(b)
		b[16] = 255 // tensors
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, a := range made() {
			before, err := a.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			want := b
			alloctest.Within(t, len(b), 10, 1<<20, func() {
				if err := a.UnmarshalBinary(b); err != nil {
					want = before
				}
			})
			if after, err := a.MarshalBinary(); err != nil || !bytes.Equal(after, want) {
				t.Errorf("%x becomes %x (%v), want %x", b, after, err, want)
			}
		}
	})
}
