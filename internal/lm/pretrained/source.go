package pretrained

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/gguf"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// source is a set of tensors under the names of a Hugging Face decoder.
type source interface {
	names() []string
	shape(name string) ([]int, error)
	// raw gives the bytes of a tensor that is stored in a plain type, in its order.
	raw(name string) (data []byte, dtype safetensors.DType, ok bool)
	// read converts whole rows from index first on.
	read(name string, out []float32, first int) error
	// release says that a tensor is not needed for now.
	release(name string)
	// file names the file of a tensor.
	file(name string) string
	close() error
}

// checkpoint is a folder of safetensors.
type checkpoint struct {
	ck *safetensors.Checkpoint
	// stored maps a decoder's names to those in the file.
	stored map[string]string
}

// prefixes are what checkpoints put in the place of "model.": multimodal models
// hold the language model inside another, and bare ones have no head.
var prefixes = []string{"model.", "language_model.model.", "model.language_model.", "language_model.", ""}

const (
	embedName = "model.embed_tokens.weight"
	headName  = "lm_head.weight"
)

func newCheckpoint(ck *safetensors.Checkpoint) (*checkpoint, error) {
	names := ck.Names()
	c := &checkpoint{ck: ck, stored: map[string]string{}}
	i := slices.IndexFunc(prefixes, func(p string) bool {
		_, found := slices.BinarySearch(names, p+strings.TrimPrefix(embedName, "model."))
		return found
	})
	if i < 0 {
		return c, fmt.Errorf("%s: no tensor %q, nor one that is called so in a multimodal model", ck.Dir, embedName)
	}
	for _, n := range names {
		switch rest, ok := strings.CutPrefix(n, prefixes[i]); {
		case strings.HasSuffix(n, headName) && (n == headName || n == "language_model."+headName):
			c.stored[headName] = n
		case ok && (strings.HasPrefix(rest, "layers.") || strings.HasPrefix(rest, "embed_tokens.") || strings.HasPrefix(rest, "norm.")):
			c.stored["model."+rest] = n
		}
	}
	return c, nil
}

func (c *checkpoint) names() []string {
	out := make([]string, 0, len(c.stored))
	for n := range c.stored {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (c *checkpoint) tensor(name string) (safetensors.Tensor, error) {
	stored, ok := c.stored[name]
	if !ok {
		return safetensors.Tensor{}, fmt.Errorf("%s: the checkpoint has no tensor %q", c.ck.Dir, name)
	}
	return c.ck.Tensor(stored)
}

func (c *checkpoint) shape(name string) ([]int, error) {
	t, err := c.tensor(name)
	return t.Shape, err
}

func (c *checkpoint) raw(name string) ([]byte, safetensors.DType, bool) {
	t, err := c.tensor(name)
	return t.Data, t.DType, err == nil
}

func (c *checkpoint) read(name string, out []float32, first int) error {
	t, err := c.tensor(name)
	if err != nil {
		return err
	}
	if n := t.Len(); n > 0 {
		width := len(t.Data) / n
		t.Data, t.Shape = t.Data[first*width:(first+len(out))*width], []int{len(out)}
	}
	if _, err := t.Float32(out[:0:len(out)]); err != nil {
		return fmt.Errorf("%s: %w", c.file(name), err)
	}
	return nil
}

func (c *checkpoint) release(name string) {
	if t, err := c.tensor(name); err == nil {
		safetensors.Release(t.Data)
	}
}

func (c *checkpoint) file(name string) string { return c.ck.File(c.stored[name]) }
func (c *checkpoint) close() error            { return c.ck.Close() }

// ggufSource is a GGUF file.
type ggufSource struct {
	gg *gguf.File
	w  *gguf.Weights
}

func (g *ggufSource) names() []string                              { return g.w.Names() }
func (g *ggufSource) shape(name string) ([]int, error)             { return g.w.Shape(name) }
func (g *ggufSource) raw(string) ([]byte, safetensors.DType, bool) { return nil, "", false }
func (g *ggufSource) read(name string, out []float32, first int) error {
	return g.w.Read(name, out, first)
}
func (g *ggufSource) file(name string) string { return g.w.File(name) }
func (g *ggufSource) close() error            { return g.gg.Close() }
func (g *ggufSource) release(name string) {
	if t, err := g.w.Stored(name); err == nil {
		safetensors.Release(t.Data)
	}
}

// ignored are parts of names that some checkpoints carry and no graph reads: the
// rotation's frequencies, which follow from the configuration.
var ignored = []string{".rotary_emb.", ".masked_bias"}

// check compares the tensors with those that the configuration asks for.
func (m *Model) check() error {
	known := map[string]bool{headName: true} // a tied model may carry its copy
	for _, p := range decoder.Layout(m.Config) {
		for i, name := range p.Sources {
			known[name] = true
			got, err := m.src.shape(name)
			if err != nil {
				return err
			}
			if want := decoder.SourceDims(m.Config, p, i); !slices.Equal(got, want) {
				return fmt.Errorf("%s: tensor %q has shape %v, the configuration wants %v", m.src.file(name), name, got, want)
			}
		}
	}
	for _, name := range m.src.names() {
		if !known[name] && !slices.ContainsFunc(ignored, func(s string) bool { return strings.Contains(name, s) }) {
			return fmt.Errorf("%s: tensor %q is not a part of a %s with this configuration: config.json and weights do not belong together, or the model is a variant that is not supported",
				m.src.file(name), name, m.Config.Arch)
		}
	}
	return nil
}

// firstBad32 is the index of the first number that is NaN or infinite, or -1.
func firstBad32(v []float32) int {
	for i, x := range v {
		if x-x != 0 { // 0 for every finite number, NaN otherwise
			return i
		}
	}
	return -1
}

// firstBad16 is the same for bfloat16, little endian. It looks at four numbers at
// once: one is bad when the eight bits of its exponent are all set.
func firstBad16(b []byte) int {
	const exponents, ones, tops = 0x7f80_7f80_7f80_7f80, 0x0001_0001_0001_0001, 0x8000_8000_8000_8000
	at := 0
	for ; at+8 <= len(b); at += 8 {
		x := binary.LittleEndian.Uint64(b[at:])&exponents ^ exponents
		if (x-ones)&^x&tops != 0 {
			break
		}
	}
	for ; at+2 <= len(b); at += 2 {
		if binary.LittleEndian.Uint16(b[at:])&0x7f80 == 0x7f80 {
			return at / 2
		}
	}
	return -1
}

func bf16At(b []byte, i int) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
}
