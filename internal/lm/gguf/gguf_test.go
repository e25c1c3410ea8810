package gguf

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

func open(t testing.TB, name string) *File {
	t.Helper()
	f, err := Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func decode(t testing.TB, x Tensor) []float32 {
	t.Helper()
	out := make([]float32, x.Len())
	if err := x.Decode(out, 0); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every type gives the bits that the Python package of llama.cpp gives.
func TestTypes(t *testing.T) {
	f := open(t, "types.gguf")
	seen := map[Type]bool{F32: true}
	for _, x := range f.Tensors() {
		if strings.HasSuffix(x.Name, ".f32") {
			continue
		}
		seen[x.Type] = true
		ref, err := f.Tensor(x.Name + ".f32")
		if err != nil {
			t.Fatal(err)
		}
		if x.Type.String() != x.Name || !slices.Equal(x.Shape, ref.Shape) {
			t.Errorf("%s: type %s, shape %v, want %v", x.Name, x.Type, x.Shape, ref.Shape)
		}
		got, want := decode(t, x), decode(t, ref)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) && got[i] != want[i] {
				t.Fatalf("%s: number %d is %v, want %v", x.Name, i, got[i], want[i])
			}
		}
		// The second row alone.
		row := x.Shape[1]
		part := make([]float32, row)
		if err := x.Decode(part, row); err != nil || !slices.Equal(part, got[row:2*row]) {
			t.Errorf("%s: the second row alone differs: %v", x.Name, err)
		}
	}
	for typ := range formats {
		if !seen[typ] {
			t.Errorf("type %s is in no golden", typ)
		}
	}
	if f.Metadata["test.text"] != "gr\u00fc\u00dfe" || f.Metadata["test.float"] != 0.5 {
		t.Errorf("metadata %v", f.Metadata)
	}
	if l, ok := f.Metadata["test.list"].([]int64); !ok || !slices.Equal(l, []int64{1, 2, 3}) {
		t.Errorf("list %v", f.Metadata["test.list"])
	}
}

// A Llama model has the tensors of the checkpoint it was made from, and its
// configuration.
func TestLlama(t *testing.T) {
	f := open(t, "llama.gguf")
	w, err := f.Weights()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := safetensors.Open(filepath.Join("testdata", "llama.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	if len(w.Names()) != len(ref.Tensors()) {
		t.Errorf("%d tensors, want %d", len(w.Names()), len(ref.Tensors()))
	}
	for _, x := range ref.Tensors() {
		want, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		shape, err := w.Shape(x.Name)
		if err != nil || !slices.Equal(shape, x.Shape) {
			t.Fatalf("%s: shape %v, %v; want %v", x.Name, shape, err, x.Shape)
		}
		got := make([]float32, len(want))
		if err := w.Read(x.Name, got, 0); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: numbers differ, %v", x.Name, err)
		}
		if len(shape) == 2 { // from the fourth row on
			from := 3 * shape[1]
			if err := w.Read(x.Name, got[from:], from); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: rows differ, %v", x.Name, err)
			}
		}
	}
	raw, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ParseHF(raw)
	if err != nil {
		t.Fatal(err)
	}
	if c.Arch != decoder.Llama || c.Vocab != 64 || c.Dim != 32 || c.Heads != 4 || c.KVHeads != 2 || c.HeadDim != 8 || c.FFN != 48 || c.MaxSeq != 128 || c.Tied {
		t.Errorf("configuration %+v", c)
	}
	want := decoder.Rope{Theta: 500000, Kind: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, Original: 8192}
	if got := c.Features().Rope; got != want {
		t.Errorf("rotation %+v", got)
	}
	for _, p := range decoder.Layout(c) {
		for _, s := range p.Sources {
			if _, err := w.Shape(s); err != nil {
				t.Error(err)
			}
		}
	}
}

// builder writes headers for tests of damaged ones.
type builder struct{ bytes.Buffer }

func (b *builder) put(vs ...any) *builder {
	for _, v := range vs {
		if s, ok := v.(string); ok {
			b.put(uint64(len(s)))
			b.WriteString(s)
			continue
		}
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b
}

func header(tensors, pairs uint64) *builder {
	b := &builder{}
	b.WriteString(magic)
	return b.put(uint32(3), tensors, pairs)
}

// one is a file with one tensor.
func one(name string, typ uint32, offset uint64, body int, dims ...uint64) []byte {
	b := header(1, 0).put(name, uint32(len(dims)))
	for _, d := range dims {
		b.put(d)
	}
	b.put(typ, offset)
	b.Write(make([]byte, (32-b.Len()%32)%32+body))
	return b.Bytes()
}

// two is a file with two tensors of 64 bytes.
func two(a, b uint64) []byte {
	h := header(2, 0)
	h.put("a", uint32(1), uint64(16), uint32(0), a)
	h.put("b", uint32(1), uint64(16), uint32(0), b)
	h.Write(make([]byte, (32-h.Len()%32)%32+128))
	return h.Bytes()
}

var damaged = map[string]struct {
	data []byte
	want string
}{
	"empty":              {nil, "no GGUF file"},
	"another format":     {[]byte("PK\x03\x04........................"), "no GGUF file"},
	"version 1":          {(&builder{}).put([]byte(magic), uint32(1), uint64(0)).Bytes(), "version 1"},
	"big endian":         {(&builder{}).put([]byte(magic), uint32(3<<24), uint64(0)).Bytes(), "big-endian"},
	"tensor bomb":        {header(1<<60, 0).Bytes(), "do not fit"},
	"pair bomb":          {header(0, 1<<40).Bytes(), "do not fit"},
	"array bomb":         {header(0, 1).put("k", uint32(kindArray), uint32(kindU8), uint64(1)<<50).Bytes(), `metadata "k"`},
	"string bomb":        {header(0, 1).put("k", uint32(kindString), uint64(1)<<63).Bytes(), `metadata "k"`},
	"name bomb":          {header(0, 1).put(uint64(1)<<40, make([]byte, 64)).Bytes(), "a name of"},
	"nested arrays":      {header(0, 1).put("k", uint32(kindArray), uint32(kindArray), uint64(1), uint32(kindArray), uint64(1), uint32(kindArray), uint64(1), uint32(kindArray), uint64(0), make([]byte, 64)).Bytes(), "arrays in arrays"},
	"unknown kind":       {header(0, 1).put("k", uint32(99), make([]byte, 64)).Bytes(), "unknown kind 99"},
	"key twice":          {header(0, 2).put("k", uint32(kindU8), uint8(1), "k", uint32(kindU8), uint8(1), make([]byte, 64)).Bytes(), "occurs twice"},
	"odd alignment":      {header(0, 1).put(alignmentKey, uint32(kindU32), uint32(33)).Bytes(), "not a power of two"},
	"five axes":          {one("t", 0, 0, 64, 1, 1, 1, 1, 1), "5 axes"},
	"axis of 0":          {one("t", 0, 0, 64, 0), "an axis of 0"},
	"huge shape":         {one("t", 0, 0, 64, 1<<30, 1<<30, 1<<30), "larger than any file"},
	"type not supported": {one("t", 16, 0, 64, 256), `tensor "t": type number 16`},
	"half a block":       {one("t", 2, 0, 64, 33), "blocks of 32"},
	"scalar in blocks":   {one("t", 2, 0, 64), "blocks of 32"},
	"cut short":          {one("t", 0, 0, 64, 17), `tensor "t": 68 bytes`},
	"offset outside":     {one("t", 0, 1<<40, 64, 1), "are outside"},
	"overlap":            {two(0, 0), `tensor "b": its bytes overlap those of "a"`},
	"odd offset":         {one("t", 0, 4, 64, 1), "are outside"},
}

func TestDamaged(t *testing.T) {
	for title, c := range damaged {
		var err error
		alloctest.Within(t, len(c.data), 100, 1<<20, func() { _, err = Parse(c.data) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", title, err, c.want)
		}
	}
	for _, good := range [][]byte{one("t", 0, 0, 64, 16), two(0, 64), two(64, 0)} {
		if _, err := Parse(good); err != nil {
			t.Errorf("a good one: %v", err)
		}
	}
	name := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(name, []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

// Every file that is cut short is refused.
func TestCut(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("testdata", "llama.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole)-64; n += 97 {
		if _, err := Parse(whole[:n]); err == nil {
			t.Fatalf("cut to %d of %d bytes is read", n, len(whole))
		}
	}
}

func TestYaRN(t *testing.T) {
	f := open(t, "llama.gguf")
	// Llama 3's rotation stands in a tensor, which has precedence.
	delete(f.byName, "rope_freqs.weight")
	for key, v := range map[string]any{"type": "yarn", "factor": 4.0, "original_context_length": uint64(16), "yarn_beta_slow": 0.5} {
		f.Metadata["llama.rope.scaling."+key] = v
	}
	data, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ParseHF(data)
	want := decoder.Rope{Theta: 500000, Kind: "yarn", Factor: 4, HighFreq: 32, LowFreq: 0.5, Original: 16, Scale: 0.1*math.Log(4) + 1}
	if err != nil || c.Given.Rope != want {
		t.Errorf("%+v, %v; want %+v", c.Given.Rope, err, want)
	}
}

func TestConfigRefuses(t *testing.T) {
	for title, change := range map[string]func(*File){
		"architecture \"mamba\" is not supported": func(f *File) { f.Metadata["general.architecture"] = "mamba" },
		"mixture of experts":                      func(f *File) { f.Metadata["llama.expert_count"] = uint64(8) },
		"\"llama.block_count\" is missing":        func(f *File) { delete(f.Metadata, "llama.block_count") },
		"one positive number":                     func(f *File) { f.Metadata["llama.attention.head_count"] = []uint64{1, 2} },
		"rope scaling longrope":                   func(f *File) { f.Metadata["llama.rope.scaling.type"] = "longrope" },
		"yarn with attn_factor 2": func(f *File) {
			f.Metadata["llama.rope.scaling.type"], f.Metadata["llama.rope.scaling.attn_factor"] = "yarn", 2.0
		},
		"yarn with yarn_log_multiplier": func(f *File) {
			f.Metadata["llama.rope.scaling.type"], f.Metadata["llama.rope.scaling.yarn_log_multiplier"] = "yarn", 0.1
		},
		"a rotation of 4":    func(f *File) { f.Metadata["llama.rope.dimension_count"] = uint64(4) },
		"Llama 3's rotation": func(f *File) { f.Metadata["llama.rope.freq_base"] = 10.0 },
		"0 heads":            func(f *File) { f.Metadata["llama.attention.head_count"] = uint64(0) },
	} {
		f := open(t, "llama.gguf")
		change(f)
		if _, err := f.Config(); err == nil || !strings.Contains(err.Error(), title) || !strings.Contains(err.Error(), "llama.gguf") {
			t.Errorf("error %v, want %s", err, title)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range damaged {
		f.Add(c.data)
	}
	const key = "tokenizer.ggml."
	for _, kind := range []string{"llama", "gpt2", "bert", "t5"} { // ids beyond the tokens, a piece that is empty
		b := header(0, 7).put(key+"model", uint32(kindString), kind, key+"tokens", uint32(kindArray), uint32(kindString), uint64(3), "a", "", "\u2581a")
		b.put(key+"scores", uint32(kindArray), uint32(kindF32), uint64(3), []float32{0, -1, float32(math.NaN())})
		b.put(key+"token_type", uint32(kindArray), uint32(kindI32), uint64(3), []int32{2, 9, 6}, key+"merges", uint32(kindArray), uint32(kindString), uint64(1), "a ")
		b.put(key+"bos_token_id", uint32(kindU32), uint32(7), key+"unknown_token_id", uint32(kindI32), int32(-1))
		f.Add(b.Bytes())
	}
	for _, name := range []string{"types.gguf", "llama.gguf"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var file *File
		var err error
		alloctest.Within(t, len(data), 100, 1<<20, func() { file, err = Parse(data) })
		if err != nil {
			return
		}
		for _, x := range file.Tensors() {
			if x.Len() > 1<<16 {
				continue
			}
			decode(t, x)
		}
		if name, data, err := file.Tokenizer(); err == nil && name == "tokenizer.json" { // must not panic
			_, _ = hf.Parse(data)
		} else if err == nil {
			_, _ = hf.ParseSentencePiece(data)
		}
		if c, err := file.Config(); err == nil {
			_, _ = decoder.ParseHF(c) // must not panic
		}
		w, err := file.Weights()
		if err != nil {
			return
		}
		for _, n := range w.Names() {
			if x, err := w.Stored(n); err == nil && x.Len() < 1<<16 {
				if err := w.Read(n, make([]float32, x.Len()), 0); err != nil {
					t.Fatalf("%s: %v", n, err)
				}
			}
		}
	})
}
