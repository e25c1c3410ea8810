package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

func sample(t testing.TB) []Tensor {
	t.Helper()
	a, err := FromFloat32("a", F32, []int{2, 2}, []float32{1, -2, 0.5, 3})
	if err != nil {
		t.Fatal(err)
	}
	b, err := FromFloat32("b", BF16, []int{3}, []float32{1, 1.00390625, float32(math.Inf(-1))})
	if err != nil {
		t.Fatal(err)
	}
	return []Tensor{a, b}
}

func encode(t testing.TB, tensors []Tensor) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, tensors, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, SingleFile), sample(t), map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := fmt.Sprint(c.Names(), c.Bytes()); got != "[a b] 22" {
		t.Errorf("names and bytes: %s", got)
	}
	for name, want := range map[string]string{"a": "[1 -2 0.5 3]", "b": "[1 1 -Inf]"} {
		x, err := c.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := x.Float32(nil); err != nil || fmt.Sprint(v) != want {
			t.Errorf("%s: %v, %v; want %s (a tie rounds to even)", name, v, err, want)
		}
	}
	if _, err := c.Tensor("c"); err == nil || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("a missing tensor: %v", err)
	}
}

// Every half-precision number widens to what arithmetic says.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		exp, frac := h>>10&0x1f, float64(h&0x3ff)
		var want float64
		switch exp {
		case 0:
			want = math.Ldexp(frac, -24)
		case 31:
			want = math.Inf(1)
			if frac != 0 {
				want = math.NaN()
			}
		default:
			want = math.Ldexp(1+frac/1024, exp-15)
		}
		if h&0x8000 != 0 {
			want = -want
		}
		got := FromHalf(uint16(h))
		if got != float32(want) && !(math.IsNaN(want) && got != got) || want == 0 && math.Signbit(float64(got)) != math.Signbit(want) {
			t.Fatalf("%#04x: %v, want %v", h, got, want)
		}
	}
}

func TestBF16Rounds(t *testing.T) {
	for bits := uint32(0); bits < 1<<31; bits += 7919 {
		v := math.Float32frombits(bits)
		got := math.Float32frombits(uint32(ToBF16(v)) << 16)
		if v != v {
			if got == got {
				t.Fatalf("a NaN became %v", got)
			}
			continue
		}
		below := math.Float32frombits(bits &^ 0xffff)
		above := math.Float32frombits(bits&^0xffff + 0x10000)
		near := below
		if d, e := float64(v)-float64(below), float64(above)-float64(v); e < d || e == d && bits>>16&1 == 1 {
			near = above
		}
		if got != near && !math.IsInf(float64(above), 0) {
			t.Fatalf("%v rounds to %v, want %v", v, got, near)
		}
	}
}

// Rounding to half precision goes to the nearest number, ties to the even one, and
// back to what every number came from.
func TestHalfRounds(t *testing.T) {
	for h := range 1 << 16 {
		v := FromHalf(uint16(h))
		got := ToHalf(v)
		if v != v {
			if w := FromHalf(got); w == w {
				t.Fatalf("a NaN became %v", w)
			}
			continue
		}
		if int(got) != h {
			t.Fatalf("%#04x -> %v -> %#04x", h, v, got)
		}
		exp := h >> 10 & 0x1f
		if exp == 31 || h&0x7fff == 0x7bff {
			continue
		}
		next := FromHalf(uint16(h + 1))
		tie := (v + next) / 2
		even := uint16(h + h&1)
		for x, want := range map[float32]uint16{
			tie: even, math.Nextafter32(tie, v): uint16(h), math.Nextafter32(tie, next): uint16(h + 1),
		} {
			if got := ToHalf(x); got != want {
				t.Fatalf("%v rounds to %#04x, want %#04x", x, got, want)
			}
		}
	}
	for x, want := range map[float32]float64{65519.99: 65504, 65520: math.Inf(1), -1e30: math.Inf(-1)} {
		if got := FromHalf(ToHalf(x)); float64(got) != want {
			t.Errorf("%v became %v, want %v", x, got, want)
		}
	}
}

func TestStream(t *testing.T) {
	all := sample(t)
	want := encode(t, all)
	var head []Tensor
	for _, x := range all {
		head = append(head, Tensor{Name: x.Name, DType: x.DType, Shape: x.Shape})
	}
	at := func(name string) []byte {
		for _, x := range all {
			if x.Name == name {
				return x.Data
			}
		}
		return nil
	}
	var got bytes.Buffer
	err := WriteStream(&got, head, map[string]string{"format": "pt"}, func(x Tensor, w io.Writer) error {
		for _, b := range at(x.Name) { // in pieces
			if _, err := w.Write([]byte{b}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the bytes differ, %v", err)
	}
	path := filepath.Join(t.TempDir(), "x")
	err = WriteFileStream(path, head, nil, func(x Tensor, w io.Writer) error {
		_, err := w.Write(at(x.Name)[1:])
		return err
	})
	if err == nil || !strings.Contains(err.Error(), `tensor "a": 15 bytes written`) || !strings.Contains(err.Error(), path) {
		t.Errorf("a body that is too short: %v", err)
	}
	if left, _ := filepath.Glob(path + "*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestBadFiles(t *testing.T) {
	good := encode(t, sample(t))
	header := func(json string) []byte {
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(json)))
		return append(append(b, json...), make([]byte, 16)...)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":           {nil, "too short"},
		"cut in data":     {good[:len(good)-3], `tensor "b"`},
		"cut in header":   {good[:40], "cut short"},
		"header bomb":     {binary.LittleEndian.AppendUint64(nil, 1<<60), "header of"},
		"not json":        {header("hello"), "header"},
		"unknown dtype":   {header(`{"x":{"dtype":"F13","shape":[1],"data_offsets":[0,4]}}`), "F13"},
		"wrong shape":     {header(`{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}`), "needs"},
		"overflow":        {header(`{"x":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}`), "larger"},
		"negative":        {header(`{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`), "shape"},
		"outside":         {header(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}`), "outside"},
		"overlap":         {header(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`), "overlap"},
		"name twice":      {header(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`), `tensor "x" occurs twice`},
		"metadata twice":  {header(`{"__metadata__":{},"__metadata__":{}}`), "occurs twice"},
		"three offsets":   {header(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`), `tensor "x": data_offsets [0 4 8]`},
		"no offsets":      {header(`{"x":{"dtype":"F32","shape":[0]}}`), `tensor "x": data_offsets []`},
		"offsets turned":  {header(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`), "outside"},
		"offset overflow": {header(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,99999999999999999999]}}`), `tensor "x"`},
		"half an axis":    {header(`{"x":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`), `tensor "x"`},
		"zero and huge":   {header(`{"x":{"dtype":"F32","shape":[9223372036854775807,2,0],"data_offsets":[0,0]}}`), "larger"},
		"a list":          {header(`[]`), "object of tensors"},
		"deep JSON":       {header(`{"x":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`), "header"},
		"entry no object": {header(`{"x":7}`), `tensor "x"`},
		"metadata a list": {header(`{"__metadata__":[1]}`), "__metadata__"},
	} {
		var err error
		alloctest.Within(t, len(c.data), 100, 1<<20, func() { _, _, err = Parse(c.data) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	all := sample(t)
	write := func(name string, tensors ...Tensor) {
		t.Helper()
		if err := WriteFile(filepath.Join(dir, name), tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	index := func(s string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, IndexFile), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one.safetensors", all[0])
	index(`{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}`)
	if _, err := OpenCheckpoint(dir); err == nil || !strings.Contains(err.Error(), "two.safetensors") {
		t.Errorf("a missing shard: %v", err)
	}
	write("two.safetensors", all...)
	if _, err := OpenCheckpoint(dir); err == nil || !strings.Contains(err.Error(), `tensor "a" is in`) || !strings.Contains(err.Error(), "one.safetensors") || !strings.Contains(err.Error(), "two.safetensors") {
		t.Errorf("a tensor in two shards: %v", err)
	}
	write("two.safetensors", all[1])
	c, err := OpenCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Names()); got != "[a b]" {
		t.Error(got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for json, want := range map[string]string{
		`{"weight_map":{"a":"one.safetensors","c":"two.safetensors"}}`: `"c"`,
		`{"weight_map":{"a":"../one.safetensors"}}`:                    "same folder",
		`{"weight_map":{"a":".."}}`:                                    "same folder",
		`{"weight_map":{"a":"."}}`:                                     "same folder",
		`{"weight_map":{"a":"..\\one.safetensors"}}`:                   "same folder",
		`{"weight_map":{}}`:                                            "no tensors",
		`{`:                                                            "unexpected end",
	} {
		index(json)
		if _, err := OpenCheckpoint(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", json, err, want)
		}
	}
	if _, err := OpenCheckpoint(t.TempDir()); err == nil || !strings.Contains(err.Error(), SingleFile) {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encode(f, sample(f)))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var tensors []Tensor
		var meta map[string]string
		var err error
		alloctest.Within(t, len(data), 100, 1<<20, func() { tensors, meta, err = Parse(data) })
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, tensors, meta); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, _, err := Parse(again.Bytes()); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
