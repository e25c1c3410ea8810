package decoder

import "math"

// Activation of the gated feed-forward layer.
type Activation string

// The activations, by their Hugging Face names.
const (
	SiLU     Activation = "silu"
	GELUTanh Activation = "gelu_pytorch_tanh"
	GELU     Activation = "gelu" // by the error function
)

// Features are what tells the families apart beyond their sizes. The zero value
// with SiLU is Llama's block.
type Features struct {
	Act Activation
	// NormPlusOne: RMSNorm multiplies by 1+w (the Gemma families) and not by w.
	NormPlusOne bool
	// EmbedScale multiplies the embeddings; 0 means 1.
	EmbedScale float64
	// Biases of the projections (Qwen2 has QKVBias).
	QKVBias, OBias, MLPBias bool
	// QKNorm: RMSNorm over each head of queries and keys, before the rotation
	// (Qwen3, Gemma 3).
	QKNorm bool
	// SandwichNorm: norms on what attention and feed-forward add to the residual
	// stream, besides those on what they read (Gemma 2 and 3).
	SandwichNorm bool
	// AttnCap and LogitCap squash scores and logits to cap·tanh(x/cap); 0 is off.
	AttnCap, LogitCap float64
	// QueryScale multiplies the scores; 0 means 1/sqrt(HeadDim).
	QueryScale float64
	// Window is how many positions, its own included, a position of a sliding layer
	// sees. Sliding lists which layers slide; nil means none.
	Window  int
	Sliding []bool
	// Rope turns queries and keys of full layers, SlidingRope those of sliding ones.
	Rope, SlidingRope Rope
}

// Features returns what the configuration means for the graph.
func (c Config) Features() Features {
	if c.Given != nil {
		return *c.Given
	}
	f := Features{Act: SiLU, Rope: Rope{Theta: c.RopeTheta}, SlidingRope: Rope{Theta: c.RopeTheta}}
	switch c.Arch {
	case Qwen2:
		f.QKVBias = true
	case Qwen3:
		f.QKNorm = true
	case Gemma, Gemma2, Gemma3:
		f.Act, f.NormPlusOne, f.EmbedScale = GELUTanh, true, math.Sqrt(float64(c.Dim))
		f.SandwichNorm = c.Arch != Gemma
		f.QKNorm = c.Arch == Gemma3
	}
	return f
}

// window is how far layer l looks back, 0 for all positions, and with which
// rotation.
func (f Features) window(l int) (int, Rope) {
	if l < len(f.Sliding) && f.Sliding[l] {
		return f.Window, f.SlidingRope
	}
	return 0, f.Rope
}

func (c Config) queryScale() float64 {
	if s := c.Features().QueryScale; s != 0 {
		return s
	}
	return 1 / math.Sqrt(float64(c.HeadDim))
}
