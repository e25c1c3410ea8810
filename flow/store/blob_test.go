package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDigest(t *testing.T) {
	// FIPS 180-4, the example for "abc".
	const abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if d := DigestBytes([]byte("abc")); d != abc {
		t.Fatal(d)
	}
	if d, err := ParseDigest(abc); err != nil || d.Hex() != abc[7:] {
		t.Fatal(d, err)
	}
	for _, bad := range []string{"", "sha256:", abc[7:], strings.ToUpper(abc), abc + "0", "sha512:" + abc[7:]} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestPutFile(t *testing.T) {
	for name, dur := range map[string]Durability{"relaxed": Relaxed, "durable": Durable} {
		t.Run(name, func(t *testing.T) {
			s, warned := newStore(t)
			dir, err := s.TempDir()
			if err != nil {
				t.Fatal(err)
			}
			p := filepath.Join(dir, "a file")
			for range 2 { // the second finds the blob in place
				if err := os.WriteFile(p, []byte("rows\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				d, n, err := s.PutFile(p, dur)
				if err != nil || d != DigestBytes([]byte("rows\n")) || n != 5 {
					t.Fatal(d, n, err)
				}
				if _, err := os.Stat(p); !errors.Is(err, os.ErrNotExist) {
					t.Fatal("the staged file is still there")
				}
				path, err := s.Path(d)
				if err != nil {
					t.Fatal(err)
				}
				fi, err := os.Stat(path)
				if err != nil || fi.Mode().Perm() != 0o444 {
					t.Fatal(fi.Mode(), err)
				}
				if b, err := s.ReadBlob(d); err != nil || string(b) != "rows\n" {
					t.Fatal(b, err)
				}
			}
			if warned.count() != 0 {
				t.Error(warned.all)
			}
		})
	}
}

func TestPutFileRefuses(t *testing.T) {
	s, _ := newStore(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, link, filepath.Join(dir, "missing")} {
		if _, _, err := s.PutFile(p, Relaxed); err == nil {
			t.Errorf("%s accepted", p)
		}
	}
}

func TestBlobWriter(t *testing.T) {
	s, _ := newStore(t)
	w, err := s.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for i := range 1000 {
		line := bytes.Repeat([]byte{byte('a' + i%26)}, i)
		want.Write(line)
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	d, n, err := w.Commit(Durable)
	w.Discard() // must do nothing
	if err != nil || n != int64(want.Len()) || d != DigestBytes(want.Bytes()) {
		t.Fatal(d, n, err)
	}
	r, err := s.OpenBlob(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want.Bytes()) || r.Close() != nil {
		t.Fatal("content differs", err)
	}
	w, _ = s.NewWriter()
	w.Write([]byte("never"))
	w.Discard()
	left, err := os.ReadDir(filepath.Join(s.Dir(), "tmp"))
	if err != nil || len(left) != 0 {
		t.Fatal("staging left behind", left, err)
	}
}

func TestBlobDamage(t *testing.T) {
	text := []byte(strings.Repeat("some rows\n", 100))
	cases := map[string]func(t *testing.T, path string){
		"removed":   func(t *testing.T, p string) { os.Remove(p) },
		"truncated": func(t *testing.T, p string) { overwrite(t, p, text[:10]) },
		"emptied":   func(t *testing.T, p string) { overwrite(t, p, nil) },
		"grown":     func(t *testing.T, p string) { overwrite(t, p, append(bytes.Clone(text), 'x')) },
		"flipped": func(t *testing.T, p string) {
			b := bytes.Clone(text)
			b[500] ^= 1
			overwrite(t, p, b)
		},
		"a folder": func(t *testing.T, p string) { os.Remove(p); os.Mkdir(p, 0o755) },
	}
	for name, harm := range cases {
		t.Run(name, func(t *testing.T) {
			s, warned := newStore(t)
			a := publish(t, s, testKey(1), string(text))
			d := a.Outputs["out"].Digest
			p := s.blobPath(d)
			harm(t, p)
			got, ok, err := s.GetAction(testKey(1))
			if ok || err != nil || got == nil || got.Damage == "" {
				t.Fatalf("hit %v, error %v, action %+v", ok, err, got)
			}
			if s.Has(d) {
				t.Error("Has says yes")
			}
			if _, err := s.OpenBlob(d); err == nil {
				t.Error("OpenBlob succeeds")
			}
			if name != "removed" && warned.count() == 0 {
				t.Error("no warning")
			}
			publish(t, s, testKey(1), string(text)) // running again heals it
			if _, ok, err := s.GetAction(testKey(1)); !ok || err != nil {
				t.Fatalf("not healed: %v", err)
			}
			if b, err := s.ReadBlob(d); err != nil || !bytes.Equal(b, text) {
				t.Fatal("wrong content after healing", err)
			}
		})
	}
}

// A touched or copied blob is hashed again, found sound and stamped again.
func TestTouchedBlobIsSound(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		s, warned := newStore(t)
		d := publish(t, s, testKey(1), "same").Outputs["out"].Digest
		then := time.Now().Add(-time.Hour)
		if err := os.Chtimes(s.blobPath(d), then, then); err != nil {
			t.Fatal(err)
		}
		r, warnedR := openStore(t, s.Dir(), Options{ReadOnly: readOnly})
		for range 2 {
			if _, ok, err := r.GetAction(testKey(1)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if warned.count()+warnedR.count() != 0 {
			t.Error("a sound blob was reported")
		}
		fi, _ := os.Stat(s.blobPath(d))
		if stamped(fi, d) == readOnly {
			t.Errorf("read-only %v: stamped %v", readOnly, stamped(fi, d))
		}
	}
}

// Damage that keeps size and times is beyond a stat call, but not beyond
// reading, VerifyReads and Verify; each of them makes it a miss for everyone.
func TestSilentDamage(t *testing.T) {
	finders := map[string]func(t *testing.T, s *Store, d Digest){
		"reader": func(t *testing.T, s *Store, d Digest) {
			r, err := s.OpenBlob(d)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := io.ReadAll(r); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
		},
		"read at once": func(t *testing.T, s *Store, d Digest) {
			if _, err := s.ReadBlob(d); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
		},
		"VerifyReads": func(t *testing.T, s *Store, d Digest) {
			v, _ := openStore(t, s.Dir(), Options{VerifyReads: true})
			if _, err := v.Path(d); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
		},
		"what is handed out to be read": func(t *testing.T, s *Store, d Digest) {
			v, _ := openStore(t, s.Dir(), Options{})
			if _, err := v.VerifiedPath(d); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
		},
		"Verify": func(t *testing.T, s *Store, d Digest) {
			rep, err := s.Verify(t.Context(), 0)
			if err != nil || len(rep.Damaged) != 1 || rep.Damaged[0] != d || len(rep.Broken) != 1 {
				t.Fatalf("%+v, %v", rep, err)
			}
		},
	}
	for name, find := range finders {
		t.Run(name, func(t *testing.T) {
			s, warned := newStore(t)
			d := publish(t, s, testKey(1), "precious rows").Outputs["out"].Digest
			fi, err := os.Stat(s.blobPath(d))
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, s.blobPath(d), []byte("preciouS rows"))
			if err := os.Chtimes(s.blobPath(d), fi.ModTime(), fi.ModTime()); err != nil {
				t.Fatal(err)
			}
			find(t, s, d)
			if _, ok, _ := s.GetAction(testKey(1)); ok {
				t.Error("still a hit")
			}
			fresh, _ := openStore(t, s.Dir(), Options{})
			if _, ok, _ := fresh.GetAction(testKey(1)); ok {
				t.Error("still a hit in the next process")
			}
			if warned.count() == 0 {
				t.Error("no warning")
			}
		})
	}
}
