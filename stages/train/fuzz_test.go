package train

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
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
