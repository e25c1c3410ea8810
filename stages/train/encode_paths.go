package train

import (
	"context"
	"fmt"
	"math"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/encoder"
)

// encode gives every path its encoding, once for the whole training, and returns
// their width. The encoder itself is let go of afterwards.
func (t *trainer) encode(ctx context.Context, dev *device.Device, responses []string) (dim int, err error) {
	var enc encoder.Encoder
	if t.plan.route.encoder != "" {
		var dir string
		if dir, err = encoder.Locate(ctx, t.plan.route.encoder, t.bases.hub); err == nil {
			enc, err = encoder.Load(dir, dev)
		}
	} else {
		enc, err = encoder.NewHashed(t.plan.route.hashedDim, streamSeed(t.seed, streamEncoder))
	}
	if err != nil {
		return 0, fmt.Errorf("encoder: %w", err)
	}
	if t.encoded, err = enc.Encode(responses); err != nil {
		return 0, fmt.Errorf("encoding the paths: %w", err)
	}
	if t.plan.route.encoder != "" {
		for _, v := range t.encoded {
			unitLength(v) // not every folder asks for it; the router's scale does
		}
	}
	t.encoder = enc.Name()
	return enc.Dim(), nil
}

// unitLength scales v to length 1; zero stays zero.
func unitLength(v []float32) {
	var sq float64
	for _, x := range v {
		sq += float64(x) * float64(x)
	}
	if sq == 0 {
		return
	}
	for i, x := range v {
		v[i] = float32(float64(x) / math.Sqrt(sq))
	}
}
