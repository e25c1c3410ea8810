package train

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

// tinyEncoder is the golden checkpoint of a family.
func tinyEncoder(family string) stage.Path {
	return stage.Path(filepath.Join("..", "..", "internal", "lm", "encoder", "testdata", "hf", family))
}

// Every path is encoded once, to length 1, by the encoder that was asked for, and
// training reads those encodings.
func TestPretrainedEncoder(t *testing.T) {
	hashed := testTrainer(t, smallConfig(), 1)
	cfg := smallConfig()
	cfg.WarmupSteps, cfg.MaxSteps = 1, 2
	prints := map[string]bool{}
	for _, family := range []string{"bert", "bert-tanh", "roberta"} {
		cfg.Router.Encoder = tinyEncoder(family)
		tr := testTrainer(t, cfg, 1)
		if len(tr.encoded) != len(tr.paths) || len(tr.encoded[0]) != 32 || len(hashed.encoded[0]) != 16 {
			t.Fatalf("%s: %d encodings of %d paths, %d wide", family, len(tr.encoded), len(tr.paths), len(tr.encoded[0]))
		}
		for i, v := range tr.encoded {
			var sq float64
			for _, x := range v {
				sq += float64(x) * float64(x)
			}
			if math.Abs(sq-1) > 1e-5 {
				t.Fatalf("%s: path %d has length² %v", family, i, sq)
			}
		}
		if w := tr.router.params[rW1].Dims; !slices.Equal(w, []int{8, 32}) {
			t.Errorf("%s: the router reads %v", family, w)
		}
		if !strings.HasPrefix(tr.encoder, strings.TrimSuffix(family, "-tanh")+"-32-") {
			t.Errorf("%s: called %s", family, tr.encoder)
		}
		if family == "bert" {
			if err := tr.run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		prints[tr.fingerprint] = true
	}
	if len(prints) != 3 {
		t.Error("states of different encoders look alike")
	}
	cfg.Router.Encoder = stage.Path(t.TempDir())
	if _, _, err := newTrainer(t.Context(), cfg.plan(), 1, openCPU, testPaths(t, 2)); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

// The router of corrected reads where paths differ, those of the published method all of it.
func TestEncodingsAreCentered(t *testing.T) {
	for method, want := range map[string]bool{methodCorrected: true, methodPaper: false, methodOriginal: false} {
		cfg := smallConfig()
		cfg.Method = method
		tr := testTrainer(t, cfg, 1)
		mean := make([]float64, len(tr.encoded[0]))
		for _, v := range tr.encoded {
			for j, x := range v {
				mean[j] += float64(x) / float64(len(tr.encoded))
			}
		}
		var sq float64
		for _, x := range mean {
			sq += x * x
		}
		// Scaling to length 1 after the mean is off moves it again, but little.
		if l := math.Sqrt(sq); l < 0.3 != want {
			t.Errorf("%s: the mean encoding has length %v", method, l)
		}
	}
	one := [][]float32{{0.6, 0.8}}
	takeOff(meanOf(one, 2), one)
	if one[0][0] != 0 || one[0][1] != 0 {
		t.Errorf("a single path: %v", one)
	}
}

// The control reads the same encodings, at other paths; a run repeated reads them alike.
func TestShuffledEncodings(t *testing.T) {
	own := testTrainer(t, smallConfig(), 1)
	cfg := smallConfig()
	cfg.Router.Shuffle = true
	a, b := testTrainer(t, cfg, 1), testTrainer(t, cfg, 1)
	moved := 0
	for i, v := range a.encoded {
		if !slices.Equal(v, b.encoded[i]) {
			t.Fatalf("path %d: two runs of one seed differ", i)
		}
		if !slices.Equal(v, own.encoded[i]) {
			moved++
		}
		if !slices.ContainsFunc(own.encoded, func(w []float32) bool { return slices.Equal(v, w) }) {
			t.Errorf("path %d has an encoding of no path", i)
		}
	}
	if moved < len(a.encoded)/2 {
		t.Errorf("%d of %d paths read another's encoding", moved, len(a.encoded))
	}
	if a.fingerprint == own.fingerprint {
		t.Error("states with and without the control look alike")
	}
}

// The encoder counts by its files' content: a copy elsewhere lists the same names,
// and without an encoder nothing is listed.
func TestEncoderExternals(t *testing.T) {
	if ext, err := smallConfig().Externals(t.Context()); err != nil || ext != nil {
		t.Errorf("hashed: %v, %v", ext, err)
	}
	names := func(p stage.Path) (out []string) {
		t.Helper()
		ext, err := trainConfig{Router: Router{Encoder: p}}.Externals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ext {
			if _, err := os.Stat(e.Path); err != nil {
				t.Error(err)
			}
			out = append(out, e.Name)
		}
		return out
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(string(tinyEncoder("bert")))); err != nil {
		t.Fatal(err)
	}
	a, b := names(tinyEncoder("bert")), names(stage.Path(dir))
	if !slices.Equal(a, b) || !slices.Contains(a, "encoder/model.safetensors") || !slices.Contains(a, "encoder/tokenizer.json") {
		t.Errorf("%v and %v", a, b)
	}
	for _, p := range []string{filepath.Join(dir, "gone"), t.TempDir()} {
		_, err := trainConfig{Router: Router{Encoder: stage.Path(p)}}.Externals(t.Context())
		if fields := stage.FieldErrors(err); err == nil || len(fields) != 1 || strings.Join(fields[0].Path, ".") != "router.encoder" {
			t.Errorf("%s: %v", p, err)
		}
	}
	// The config itself adds nothing to the key, with an encoder or without.
	reg, err := stage.NewRegistry(Stages()...)
	if err != nil {
		t.Fatal(err)
	}
	typ, _ := reg.Lookup("train-moe")
	for _, tree := range []map[string]any{{}, {"router": map[string]any{"encoder": dir}}} {
		cfg, errs := typ.Decode(tree)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		sem, err := cfg.Semantic()
		if err != nil || len(sem) != 0 {
			t.Errorf("%v: key has %v, %v", tree, sem, err)
		}
		ext, err := cfg.Externals(t.Context())
		if err != nil || len(ext) != len(a)*len(tree) {
			t.Errorf("%v: %d files, %v", tree, len(ext), err)
		}
	}
}
