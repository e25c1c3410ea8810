package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestLast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s, _ := openStore(t, dir, Options{})
	odd := "stage \t\"x\" ü\n"
	if err := s.SetLastMany("gsm8k.yaml", map[string]Pointer{
		"prompts": {Key: testKey(1), Preimage: json.RawMessage(`{"t": 0.7, "s": "a\tb <&>"}`)},
		odd:       {Key: testKey(2)},
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetLast("gsm8k.yaml", "prompts", Pointer{Key: testKey(3), Preimage: json.RawMessage(`{"t":0.8}`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetLast("other.yaml", "prompts", Pointer{Key: testKey(3)}); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Store{"same process": s, "next": first(openStore(t, dir, Options{}))} {
		all, err := s.LastAll("gsm8k.yaml")
		if err != nil || len(all) != 2 || all["prompts"].Key != testKey(3) || string(all["prompts"].Preimage) != `{"t":0.8}` || all[odd].Key != testKey(2) {
			t.Fatalf("%s: %v %v", name, all, err)
		}
		if _, ok, err := s.Last("gsm8k.yaml", "none"); ok || err != nil {
			t.Fatal(ok, err)
		}
		uses, err := s.Uses(testKey(3))
		if err != nil || len(uses) != 2 || uses[0] != (Use{"gsm8k.yaml", "prompts"}) || uses[1] != (Use{"other.yaml", "prompts"}) {
			t.Fatalf("%s: %v %v", name, uses, err)
		}
	}
}

func first(s *Store, _ *warnings) *Store { return s }

// Two processes see each other's pointers, and none is lost.
func TestLastTwoStores(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	a, b := first(openStore(t, dir, Options{})), first(openStore(t, dir, Options{}))
	for i := range 50 {
		s := a
		if i%2 == 1 {
			s = b
		}
		if err := s.SetLast("r", fmt.Sprint("stage", i), Pointer{Key: testKey(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Store{a, b} {
		if all, err := s.LastAll("r"); err != nil || len(all) != 50 {
			t.Fatal(len(all), err)
		}
	}
}

func TestLastCompactsAndSkipsUnchanged(t *testing.T) {
	s, _ := newStore(t)
	size := func() int64 {
		fi, err := os.Stat(s.lastPath("r"))
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	pointers := map[string]Pointer{}
	for i := range 100 {
		pointers[fmt.Sprint("stage", i)] = Pointer{Key: testKey(i), Preimage: json.RawMessage(`{"a": 1}`)}
	}
	if err := s.SetLastMany("r", pointers); err != nil {
		t.Fatal(err)
	}
	base := size()
	if err := s.SetLastMany("r", pointers); err != nil || size() != base {
		t.Fatal("unchanged pointers were written", err)
	}
	for i := range 3000 {
		if err := s.SetLast("r", "stage1", Pointer{Key: testKey(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if size() > 20*base {
		t.Errorf("%d bytes after %d: never compacted", size(), base)
	}
	fresh, warned := openStore(t, s.Dir(), Options{})
	all, err := fresh.LastAll("r")
	if err != nil || len(all) != 100 || all["stage1"].Key != testKey(2999) || warned.count() != 0 {
		t.Fatal(len(all), err, warned.all)
	}
}

func TestLastTornLine(t *testing.T) {
	s, _ := newStore(t)
	for i := range 3 {
		if err := s.SetLast("r", fmt.Sprint("s", i), Pointer{Key: testKey(i)}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(s.lastPath("r"))
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, s.lastPath("r"), b[:len(b)-10])
	s, warned := openStore(t, s.Dir(), Options{})
	if all, err := s.LastAll("r"); err != nil || len(all) != 2 || warned.count() == 0 {
		t.Fatal(all, err, warned.all)
	}
	// The next record must not be glued to the torn one.
	if err := s.SetLast("r", "new", Pointer{Key: testKey(9)}); err != nil {
		t.Fatal(err)
	}
	fresh, _ := openStore(t, s.Dir(), Options{})
	if all, err := fresh.LastAll("r"); err != nil || len(all) != 3 || all["new"].Key != testKey(9) {
		t.Fatal(all, err)
	}
}

func FuzzParseLast(f *testing.F) {
	good := appendLine(nil, quoteField("recipe"))
	good = encodePointers(good, map[string]Pointer{"a": {Key: testKey(1), Preimage: json.RawMessage(`{}`)}})
	f.Add(good)
	f.Add(bytes.Repeat([]byte("\n\t"), 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := parseLast(b)
		for stage, p := range got.pointers {
			if checkKey(p.Key) != nil {
				t.Fatalf("stage %q has key %q", stage, p.Key)
			}
		}
	})
}
