package store

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestActionRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s, _ := openStore(t, dir, Options{})
	rows, n, _ := s.PutBytes([]byte("{}\n"), Durable)
	tree, size, err := s.PutTree(sampleTree(t, s), Durable)
	if err != nil {
		t.Fatal(err)
	}
	a := &Action{
		Key: testKey(1), Stage: "students", Type: "train-moe", Version: 3,
		Outputs: map[string]Output{
			"models":  {Kind: KindDir, Digest: tree, Bytes: size},
			"metrics": {Kind: KindRows, Digest: rows, Rows: 1, Bytes: n},
		},
		Meta:     Meta{Started: time.Unix(1700000000, 5).UTC(), Seconds: 1.5, Stats: map[string]float64{"usd": 0.25}},
		Preimage: json.RawMessage("{\n \"config\": {\"where\": \"a < b && c\", \"t\": 0.7}\n}"),
	}
	res, err := s.PutAction(a, Durable)
	if err != nil || res.Conflict || res.Replaced || !res.Pinned.SameOutputs(a) {
		t.Fatalf("%+v, %v", res, err)
	}
	want := *a
	want.Preimage = json.RawMessage(`{"config":{"where":"a < b && c","t":0.7}}`)
	// Same process, next process.
	check := func(s *Store) {
		t.Helper()
		got, ok, err := s.GetAction(a.Key)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if d := cmp.Diff(&want, got); d != "" {
			t.Fatal(d)
		}
	}
	check(s)
	s.Close()
	s2, _ := openStore(t, dir, Options{})
	check(s2)
}

func TestPutActionChecksOutputs(t *testing.T) {
	s, _ := newStore(t)
	missing := DigestBytes([]byte("never stored"))
	d, n, _ := s.PutBytes([]byte("x"), Relaxed)
	for name, o := range map[string]Output{
		"missing blob": {Kind: KindRows, Digest: missing},
		"wrong size":   {Kind: KindRows, Digest: d, Bytes: n + 1},
		"no tree":      {Kind: KindDir, Digest: d, Bytes: n},
		"no kind":      {Digest: d, Bytes: n},
		"no digest":    {Kind: KindRows},
	} {
		a := &Action{Key: testKey(1), Type: "t", Outputs: map[string]Output{"out": o}}
		if _, err := s.PutAction(a, Relaxed); err == nil {
			t.Errorf("%s: published", name)
		}
	}
	if a, ok, err := s.GetAction(testKey(1)); a != nil || ok || err != nil {
		t.Error("something was published", a, ok, err)
	}
}

func TestIncompleteIsNoHit(t *testing.T) {
	s, _ := newStore(t)
	put := func(text string, incomplete bool) PutResult {
		d, n, _ := s.PutBytes([]byte(text), Relaxed)
		res, err := s.PutAction(&Action{
			Key: testKey(1), Type: "batch-llm", Incomplete: incomplete,
			Outputs: map[string]Output{"out": {Kind: KindRows, Digest: d, Bytes: n}},
		}, Relaxed)
		if err != nil || res.Conflict {
			t.Fatalf("%+v %v", res, err)
		}
		return res
	}
	put("half", true)
	a, ok, err := s.GetAction(testKey(1))
	if ok || err != nil || a == nil || !a.Incomplete || a.Damage != "" {
		t.Fatalf("%+v %v %v", a, ok, err)
	}
	put("more", true)
	put("all", false)
	if a, ok, _ := s.GetAction(testKey(1)); !ok || a.Outputs["out"].Digest != DigestBytes([]byte("all")) {
		t.Fatal("the complete result is not in force")
	}
	if res := put("half", true); res.Pinned.Incomplete {
		t.Fatal("an incomplete result displaced a complete one")
	}
	if _, ok, _ := s.GetAction(testKey(1)); !ok {
		t.Fatal("no hit any more")
	}
	if c, _ := s.Conflicts(""); len(c) != 0 {
		t.Fatal("incomplete results are no conflicts", c)
	}
}

func TestConflict(t *testing.T) {
	s, warned := newStore(t)
	first := publish(t, s, testKey(1), "first answer")
	publish(t, s, testKey(2), "other key")
	d, n, _ := s.PutBytes([]byte("second answer"), Relaxed)
	second := *first
	second.Outputs = map[string]Output{"out": {Kind: KindRows, Digest: d, Rows: 1, Bytes: n}}
	for range 2 { // the same deviation is kept once
		res, err := s.PutAction(&second, Durable)
		if err != nil || !res.Conflict || !res.Pinned.SameOutputs(first) {
			t.Fatalf("%+v %v", res, err)
		}
	}
	if got, ok, _ := s.GetAction(testKey(1)); !ok || !got.SameOutputs(first) {
		t.Fatal("the first result is not in force any more")
	}
	for _, key := range []string{"", testKey(1)} {
		c, err := s.Conflicts(key)
		if err != nil || len(c) != 1 || c[0].Key != testKey(1) || !c[0].Pinned.SameOutputs(first) ||
			len(c[0].Others) != 1 || !c[0].Others[0].SameOutputs(&second) {
			t.Fatalf("%+v %v", c, err)
		}
	}
	if warned.count() == 0 {
		t.Error("no warning")
	}
	// Same outputs with other metadata are no conflict.
	same := *first
	same.Meta.Seconds = 99
	if res, err := s.PutAction(&same, Relaxed); err != nil || res.Conflict {
		t.Fatalf("%+v %v", res, err)
	}
	// Once the first result is lost, the second takes its place, and says so.
	os.Remove(s.blobPath(first.Outputs["out"].Digest))
	res, err := s.PutAction(&second, Relaxed)
	if err != nil || !res.Replaced || res.Conflict {
		t.Fatalf("%+v %v", res, err)
	}
	if got, ok, _ := s.GetAction(testKey(1)); !ok || !got.SameOutputs(&second) {
		t.Fatal("the second result is not in force")
	}
}

func TestReplaceAction(t *testing.T) {
	s, warned := newStore(t)
	first := publish(t, s, testKey(1), "first answer")
	d, n, _ := s.PutBytes([]byte("second answer"), Relaxed)
	second := *first
	second.Outputs = map[string]Output{"out": {Kind: KindRows, Digest: d, Rows: 1, Bytes: n}}
	half := second
	half.Incomplete = true
	for _, step := range []struct {
		put, want *Action
		replaced  bool
	}{{&half, first, false}, {first, first, false}, {&second, &second, true}, {&second, &second, false}, {first, first, true}, {&second, &second, true}} {
		res, err := s.ReplaceAction(step.put, Durable)
		if err != nil || res.Conflict || res.Replaced != step.replaced || !res.Pinned.SameOutputs(step.want) || res.Pinned.Incomplete {
			t.Fatalf("%+v %v", res, err)
		}
		if got, ok, _ := s.GetAction(testKey(1)); !ok || !got.SameOutputs(step.want) {
			t.Fatalf("%+v is in force", got)
		}
	}
	if c, err := s.Conflicts(testKey(1)); err != nil || len(c) != 1 || !c[0].Pinned.SameOutputs(&second) {
		t.Errorf("kept beside it: %+v %v", c, err)
	}
	if warned.count() != 0 {
		t.Error("a warning for what was asked for")
	}
}

func TestActionEntryDamage(t *testing.T) {
	harms := map[string]func(t *testing.T, path string, b []byte){
		"removed":   func(t *testing.T, p string, b []byte) { os.Remove(p) },
		"emptied":   func(t *testing.T, p string, b []byte) { overwrite(t, p, nil) },
		"truncated": func(t *testing.T, p string, b []byte) { overwrite(t, p, b[:len(b)/2]) },
		"digit changed": func(t *testing.T, p string, b []byte) {
			overwrite(t, p, []byte(strings.Replace(string(b), `"version":1`, `"version":2`, 1)))
		},
		"preimage changed": func(t *testing.T, p string, b []byte) {
			overwrite(t, p, []byte(strings.Replace(string(b), "a < b", "a > b", 1)))
		},
		"swapped": func(t *testing.T, p string, b []byte) {
			overwrite(t, p, []byte(strings.ReplaceAll(string(b), testKey(1), testKey(2))))
		},
		"other entry": func(t *testing.T, p string, b []byte) {
			other, err := os.ReadFile(filepath.Join(filepath.Dir(p), testKey(2)+".json"))
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, p, other)
		},
	}
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			s, _ := newStore(t)
			publish(t, s, testKey(1), "one")
			publish(t, s, testKey(2), "two")
			p := s.actionPath(testKey(1))
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			harm(t, p, b)
			s, warned := openStore(t, s.Dir(), Options{})
			if a, ok, err := s.GetAction(testKey(1)); ok || err != nil || a != nil {
				t.Fatalf("%+v %v %v", a, ok, err)
			}
			if name != "removed" && warned.count() == 0 {
				t.Error("no warning")
			}
			publish(t, s, testKey(1), "one")
			if _, ok, err := s.GetAction(testKey(1)); !ok || err != nil {
				t.Fatal("not healed", err)
			}
		})
	}
}

func TestConcurrentPublish(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	var wg sync.WaitGroup
	for range 3 {
		s, _ := openStore(t, dir, Options{})
		for g := range 3 {
			wg.Go(func() {
				for i := range 20 {
					publish(t, s, testKey(i), "text "+testKey(i%5))
					if _, ok, err := s.GetAction(testKey(i)); !ok || err != nil {
						t.Errorf("goroutine %d: %v %v", g, ok, err)
					}
				}
				if err := s.SetLast("recipe", "stage", Pointer{Key: testKey(g)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	s, _ := openStore(t, dir, Options{})
	n := 0
	if err := s.Actions(func(*Action) error { n++; return nil }); err != nil || n != 20 {
		t.Fatal(n, err)
	}
	if rep, err := s.Verify(t.Context(), 0); err != nil || len(rep.Damaged)+len(rep.Broken) > 0 || rep.Blobs != 5 {
		t.Fatalf("%+v %v", rep, err)
	}
}

func TestActionsStopsAtError(t *testing.T) {
	s, _ := newStore(t)
	publish(t, s, testKey(1), "x")
	publish(t, s, testKey(2), "y")
	stop := errors.New("enough")
	n := 0
	if err := s.Actions(func(*Action) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Fatal(n, err)
	}
}

// A reopened result is no hit, and the next one takes its place.
func TestReopen(t *testing.T) {
	s, _ := openStore(t, t.TempDir(), Options{})
	put := func(text string) *Action {
		d, n, err := s.PutBytes([]byte(text), Relaxed)
		if err != nil {
			t.Fatal(err)
		}
		a := &Action{Key: testKey(1), Type: "t", Version: 1, Outputs: map[string]Output{"rows": {Kind: KindRows, Digest: d, Bytes: n}}}
		if _, err := s.PutAction(a, Relaxed); err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := put("{}\n")
	if err := s.Reopen(testKey(2)); err != nil {
		t.Errorf("a key without a result: %v", err)
	}
	for range 2 {
		if err := s.Reopen(a.Key); err != nil {
			t.Fatal(err)
		}
		if got, hit, err := s.GetAction(a.Key); err != nil || hit || !got.Incomplete || !got.SameOutputs(a) {
			t.Errorf("%+v, %v, %v", got, hit, err)
		}
	}
	b := put("{\"a\":1}\n")
	if got, hit, err := s.GetAction(a.Key); err != nil || !hit || !got.SameOutputs(b) {
		t.Errorf("%+v, %v, %v", got, hit, err)
	}
}
