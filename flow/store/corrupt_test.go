package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// The harmed store holds a bit of everything.
const harmTexts = 6

func harmText(i int) string {
	return string(bytes.Repeat(fmt.Appendf(nil, "{\"id\":%d}\n", i), 1+i*40))
}

func harmTree(t testing.TB, s *Store) Digest {
	d, n, err := s.PutTree(sampleTree(t, s), Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutAction(&Action{Key: testKey(100), Type: "train", Outputs: map[string]Output{"m": {Kind: KindDir, Digest: d, Bytes: n}}}, Relaxed); err != nil {
		t.Fatal(err)
	}
	return d
}

func buildHarmed(t testing.TB, dir, input string) {
	s, err := Open(dir, Options{Now: later})
	if err != nil {
		t.Fatal(err)
	}
	pointers := map[string]Pointer{}
	for i := range harmTexts {
		a := publish(t, s, testKey(i), harmText(i))
		pointers[fmt.Sprint("stage", i)] = Pointer{Key: a.Key, Preimage: a.Preimage}
	}
	publish(t, s, testKey(0), "a second result") // a conflict record
	d := harmTree(t, s)
	if _, err := s.MaterializeTree(d); err != nil {
		t.Fatal(err)
	}
	if err := s.SetLastMany("r", pointers); err != nil {
		t.Fatal(err)
	}
	hashOf(t, s, input)
	r, err := s.NewRun(RunInfo{ID: "run-1", Actions: map[string]string{"stage0": testKey(0)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Event("hello"), r.Finish("done", nil), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// Damage to any file of a store, at any byte, is a miss or goes unnoticed
// because nothing depends on it; no call fails or panics, and whatever the
// store hands out is right. Running again heals it.
func TestAnyDamageIsAMiss(t *testing.T) {
	input := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(input, []byte("external"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "s")
	buildHarmed(t, dir, input)
	var files []string
	err := filepath.WalkDir(dir, func(p string, de fs.DirEntry, err error) error {
		if err == nil && de.Type().IsRegular() && de.Name() != "lock" {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	rounds := 4
	if os.Getenv("DISTILLFLOW_HEAVY") != "" {
		rounds = 200
	}
	for _, p := range files {
		whole, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for round := range rounds {
			harmed := bytes.Clone(whole)
			what := ""
			switch k := r.IntN(5); {
			case k == 0 && len(whole) > 0:
				n := r.IntN(len(whole))
				harmed, what = harmed[:n], fmt.Sprintf("truncated to %d", n)
			case k == 1:
				harmed, what = append(harmed, "trailing"...), "grown"
			case len(whole) == 0:
				harmed, what = []byte{0}, "filled"
			default:
				for range 1 + r.IntN(3) {
					at := r.IntN(len(whole))
					harmed[at] ^= byte(1 + r.IntN(255))
					what += fmt.Sprintf("byte %d changed; ", at)
				}
			}
			rel, _ := filepath.Rel(dir, p)
			t.Run(fmt.Sprintf("%s %d", rel, round), func(t *testing.T) {
				t.Log(what)
				overwrite(t, p, harmed)
				checkHarmed(t, dir, input)
			})
		}
	}
}

func checkHarmed(t *testing.T, dir, input string) {
	s, _ := openStore(t, dir, Options{Now: later})
	defer s.Close()
	for i := range harmTexts {
		a, ok, err := s.GetAction(testKey(i))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			wantRows(t, s, a, i)
		}
	}
	if a, ok, err := s.GetAction(testKey(100)); err != nil {
		t.Fatal(err)
	} else if ok {
		wantTree(t, s, a.Outputs["m"].Digest)
	}
	all, err := s.LastAll("r")
	if err != nil {
		t.Fatal(err)
	}
	for stage, p := range all {
		var i int
		if _, err := fmt.Sscanf(stage, "stage%d", &i); err != nil || p.Key != testKey(i) || !json.Valid(p.Preimage) {
			t.Fatalf("pointer %q: %+v", stage, p)
		}
	}
	if d := hashOf(t, s, input); d != DigestBytes([]byte("external")) {
		t.Fatal("wrong digest of the input")
	}
	for _, call := range []func() error{
		func() error { _, err := s.Runs(); return err },
		func() error { _, err := s.Conflicts(""); return err },
		func() error { _, err := s.Stats(); return err },
		func() error { _, err := s.Verify(context.Background(), 0); return err },
		func() error { _, err := s.GC(context.Background(), GCOptions{DryRun: true}); return err },
		func() error { return s.Actions(func(*Action) error { return nil }) },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	// Run again: afterwards everything is a hit with the right content.
	for i := range harmTexts {
		publish(t, s, testKey(i), harmText(i))
		a, ok, err := s.GetAction(testKey(i))
		if !ok || err != nil {
			t.Fatal("not healed", i, err)
		}
		wantRows(t, s, a, i)
	}
	wantTree(t, s, harmTree(t, s))
	if _, ok, err := s.GetAction(testKey(100)); !ok || err != nil {
		t.Fatal("folder not healed", err)
	}
}

func wantRows(t *testing.T, s *Store, a *Action, i int) {
	t.Helper()
	r, err := s.OpenBlob(a.Outputs["out"].Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != harmText(i) {
		t.Fatalf("key %d: a hit with wrong content: %v", i, err)
	}
	if string(a.Preimage) != fmt.Sprintf(`{"config":{"where":"a < b && c"},"key":%q}`, testKey(i)) {
		t.Fatalf("key %d: preimage %s", i, a.Preimage)
	}
}

func wantTree(t *testing.T, s *Store, d Digest) {
	t.Helper()
	p, err := s.MaterializeTree(d)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := s.Tree(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Digest == "" {
			continue
		}
		if got, _, err := digestFile(filepath.Join(p, filepath.FromSlash(e.Path))); err != nil || got != e.Digest {
			t.Fatalf("%s: wrong content: %v", e.Path, err)
		}
	}
}
