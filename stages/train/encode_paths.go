package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/encoder"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

// textEncoder says how the router reads a text.
type textEncoder struct {
	Ref  string `json:"ref,omitempty"`  // of a published encoder
	Dim  int    `json:"dim,omitempty"`  // without one: width of the hashed encoder
	Seed uint64 `json:"seed,omitempty"` // and of its directions

	Mean []float32 `json:"mean,omitempty"` // taken off; none where encodings are read as they are
}

// textEncoder is the one of the plan.
func (t *trainer) textEncoder() textEncoder {
	if t.plan.route.encoder != "" {
		return textEncoder{Ref: t.plan.route.encoder, Mean: t.meanEncoding}
	}
	return textEncoder{Dim: t.plan.route.hashedDim, Seed: streamSeed(t.seed, streamEncoder), Mean: t.meanEncoding}
}

// encode gives texts their encodings, their width and the encoder's name. The encoder
// itself is let go of afterwards.
func (e textEncoder) encode(ctx context.Context, dev *device.Device, texts []string, o hub.Options) (out [][]float32, dim int, name string, err error) {
	var enc encoder.Encoder
	if e.Ref != "" {
		enc, err = openEncoder(ctx, e.Ref, o, dev)
	} else if enc, err = encoder.NewHashed(e.Dim, e.Seed); err != nil {
		err = fmt.Errorf("encoder: %w", err)
	}
	if err != nil {
		return nil, 0, "", err
	}
	if out, err = enc.Encode(texts); err != nil {
		return nil, 0, "", fmt.Errorf("encoding the texts: %w", err)
	}
	if e.Ref != "" {
		for _, v := range out {
			unitLength(v) // not every folder asks for it; the router's scale does
		}
	}
	if e.Mean != nil {
		if len(e.Mean) != enc.Dim() {
			return nil, 0, "", fmt.Errorf("the mean of encodings has %d numbers, the encoder gives %d: train again", len(e.Mean), enc.Dim())
		}
		takeOff(e.Mean, out)
	}
	return out, enc.Dim(), enc.Name(), nil
}

// encode gives every path its encoding, once for the whole training, and returns
// their width.
//
// What all paths share, such as how they state the answer, makes their encodings much
// alike, and a router that reads it moves all styles together before it tells them apart.
// So their mean is taken off, here and wherever the router reads texts later.
func (t *trainer) encode(ctx context.Context, dev *device.Device, paths []trainPath) (dim int, err error) {
	if t.plan.route.embeddings != nil {
		dim, err = t.embedded(paths)
	} else {
		var responses []string
		for _, p := range paths {
			responses = append(responses, p.response)
		}
		t.encoded, dim, t.encoder, err = t.textEncoder().encode(ctx, dev, responses, t.bases.hub)
	}
	if err == nil && !t.plan.route.rawEncodings {
		t.meanEncoding = meanOf(t.encoded, dim)
		takeOff(t.meanEncoding, t.encoded)
	}
	return dim, err
}

// embedded takes encodings from the input embeddings.
func (t *trainer) embedded(paths []trainPath) (dim int, err error) {
	h := sha256.New()
	for _, p := range paths {
		v := t.plan.route.embeddings[textKey(p.response)]
		if v == nil {
			return 0, fmt.Errorf("the input embeddings has nothing for problem %s, style %s: embed the rows that paths come from, with the same student_target", p.id, p.style)
		}
		if err := binary.Write(h, binary.LittleEndian, v); err != nil {
			return 0, err
		}
		t.encoded, dim = append(t.encoded, slices.Clone(v)), len(v) // paths may share a text
	}
	t.encoder = fmt.Sprintf("embeddings-%x", h.Sum(nil))
	return dim, nil
}

func meanOf(vectors [][]float32, dim int) []float32 {
	sum := make([]float64, dim)
	for _, v := range vectors {
		for j, x := range v {
			sum[j] += float64(x) / float64(len(vectors))
		}
	}
	mean := make([]float32, dim)
	for j, x := range sum {
		mean[j] = float32(x)
	}
	return mean
}

// takeOff subtracts mean from encodings and scales them to length 1 again.
func takeOff(mean []float32, encoded [][]float32) {
	for _, v := range encoded {
		for j := range v {
			v[j] -= mean[j]
		}
		unitLength(v)
	}
}

// shuffleEncodings gives every path the encoding of another.
func (t *trainer) shuffleEncodings() {
	streamRand(t.seed, streamShuffle, 0).Shuffle(len(t.encoded), func(i, j int) {
		t.encoded[i], t.encoded[j] = t.encoded[j], t.encoded[i]
	})
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
