package train

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// FuzzReadState reads bytes as a training state, and as one whose checksum is right: a
// state or none, never an error of the run.
func FuzzReadState(f *testing.F) {
	path := filepath.Join(f.TempDir(), stateFile)
	if err := writeState(path, stateMeta{Fingerprint: "x", Step: 3, Students: []studentMeta{{}}}, weights.Set{weights.Const(1, "w", 2)}, [][]byte{[]byte("{}\n"), nil}); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	f.Add(good[:len(good)-sha256.Size], true)
	f.Add([]byte("\x20\x00\x00\x00\x00\x00\x00\x00"+`{"blobs":[9999999],"meta":null}  `), true)
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum {
			s := sha256.Sum256(b)
			b = append(append([]byte{}, b...), s[:]...)
		}
		path := filepath.Join(t.TempDir(), stateFile)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, len(b), 200, 1<<20, func() {
			var meta stateMeta
			_, blobs, ok, err := readState(path, &meta)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range blobs {
				if !ok {
					break
				}
				_, _ = (&records[stateMeta]{}).restore(text) // must not panic
			}
		})
	})
}

// The students of a models folder, whoever made it, lie in it, and its router is no wider
// than the file of its weights has numbers for.
func FuzzReadModels(f *testing.F) {
	dir := f.TempDir()
	weightsOf := func(hidden, students, peers int) []byte {
		path := filepath.Join(dir, "seed")
		err := checkpoint.WriteFile(path, weights.Set{
			weights.Const(1, "router.fc1.weight", hidden, 3), weights.Const(0, "router.fc1.bias", hidden),
			weights.Const(1, "router.fc2.weight", students, hidden), weights.Const(0, "router.fc2.bias", students),
			weights.Const(1, "ensemble.weight", students, peers),
		})
		if err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add([]byte(`{"format":1,"students":["a","b"],"max_new":8,"train_ids":["x"]}`), []byte(`{"format":1,"digest":"d","hidden":2,"peers":1}`), weightsOf(2, 2, 1))
	f.Add([]byte(`{"format":1,"students":["../../x",".."]}`), []byte(`{"format":1,"hidden":1000000000000,"peers":-1}`), weightsOf(1, 2, 0))
	f.Add([]byte(`{"format":1,"students":[""]}`), []byte(`{"format":1,"hidden":0,"peers":1000000000000}`), weightsOf(0, 0, 4))
	f.Add([]byte(`null`), []byte(`{}`), []byte(nil))
	f.Fuzz(func(t *testing.T, models, router, params []byte) {
		for name, b := range map[string][]byte{modelsFile: models, routerFile: router, routerWeights: params} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		alloctest.Within(t, len(models)+len(router)+len(params), 200, 1<<20, func() {
			info, err := readModels(dir)
			if err != nil {
				info.Students = []string{"a", "b"}
			}
			for _, name := range info.Students {
				if at := studentDir(dir, name, false); filepath.Dir(at) != dir || name == "" {
					t.Errorf("%q: student %q lies in %s", models, name, at)
				}
			}
			r, p, err := readRouter(dir, len(info.Students))
			if err == nil && (r.Hidden < 0 || r.Hidden > len(params) || len(info.Students) > 0 && (r.Peers < 0 || r.Peers > len(params)) || len(p) != rCount) {
				t.Errorf("%q: taken with %d bytes of weights", router, len(params))
			}
		})
	})
}
