package checkpoint

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

func model(t *testing.T) Model {
	t.Helper()
	tok, err := tokenizer.Train("word", []string{"4 + 3 = 7. The answer is 7."}, 64)
	if err != nil {
		t.Fatal(err)
	}
	c := decoder.Config{Arch: decoder.Gemma, Vocab: tok.Size(), Dim: 8, Layers: 1, Heads: 2, MaxSeq: 8, Tied: true}.WithDefaults()
	p, err := decoder.Init(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return Model{c, tok, p}
}

func TestSaveLoad(t *testing.T) {
	m := model(t)
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if err := Save(dir, m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(a)
	if err != nil {
		t.Fatal(err)
	}
	if got.Config != m.Config || got.Params.Hash() != m.Params.Hash() {
		t.Error("the loaded model differs")
	}
	for _, f := range []string{WeightsFile, ConfigFile, tokenizer.File} {
		x, err1 := os.ReadFile(filepath.Join(a, f))
		y, err2 := os.ReadFile(filepath.Join(b, f))
		if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
			t.Errorf("%s: not the same bytes twice (%v, %v)", f, err1, err2)
		}
	}
}

func TestLoadErrorsNameFileAndTensor(t *testing.T) {
	m := model(t)
	bad := m
	bad.Params = m.Params.Clone()
	bad.Params[1].Dims = []int{2, 4}
	nan := m
	nan.Params = m.Params.Clone()
	nan.Params[2].Data[3] = float32(inf())
	short := m
	short.Params = m.Params[:2]
	size := m
	size.Config.Vocab++
	for name, c := range map[string]struct {
		m    Model
		want []string
	}{
		"shape": {bad, []string{WeightsFile, m.Params[1].Name}},
		"inf":   {nan, []string{WeightsFile, m.Params[2].Name}},
		"count": {short, []string{WeightsFile}},
		"vocab": {size, []string{ConfigFile, "vocab_size"}},
	} {
		dir := t.TempDir()
		if err := Save(dir, c.m); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %v does not mention %s", name, err, w)
			}
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), ConfigFile) {
		t.Errorf("empty folder: %v", err)
	}
}

func inf() float64 { x := 1e308; return x * 10 }

func file(header string, body int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, body)...)
}

func TestDecodeRejects(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty":    nil,
		"length":   binary.LittleEndian.AppendUint64(nil, 1<<40),
		"not JSON": file("{", 0),
		"dtype":    file(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`, 4),
		"outside":  file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4),
		"negative": file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 4),
		"size":     file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4),
		"overflow": file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`, 4),
		"overlap":  file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"order":    file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"order":"[\"b\"]"}}`, 4),
	} {
		if _, err := Decode(data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestEncodeRejects(t *testing.T) {
	for name, s := range map[string]weights.Set{
		"twice": {weights.Const(0, "a", 1), weights.Const(0, "a", 1)},
		"size":  {{Name: "a", Dims: []int{3}, Data: []float32{1}}},
	} {
		if err := Encode(&bytes.Buffer{}, s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := Encode(&b, weights.Set{weights.Normal(1, 1, "x", 2, 3), weights.Const(1, "scalar")}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(file(`{}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s weights.Set
		var err error
		alloctest.Within(t, len(data), 100, 1<<20, func() { s, err = Decode(data) })
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Encode(&out, s); err != nil {
			t.Fatalf("read but cannot write: %v", err)
		}
		again, err := Decode(out.Bytes())
		if err != nil || again.Hash() != s.Hash() {
			t.Fatalf("not the same after writing: %v", err)
		}
	})
}
