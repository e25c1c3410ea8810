package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdKeyOf puts a stage's key from a plan in JSON into $KEY, and its first
// characters into $SHORT: `keyof FILE STAGE`.
func cmdKeyOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keyof FILE STAGE")
	}
	var p struct{ Stages []struct{ Name, Key string } }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &p))
	for _, s := range p.Stages {
		if s.Name == args[1] && len(s.Key) == 64 {
			ts.Setenv("KEY", s.Key)
			ts.Setenv("SHORT", s.Key[:12])
			return
		}
	}
	ts.Fatalf("%s tells no key of stage %s", args[0], args[1])
}

// cmdDamage changes a byte of the first file below a folder and keeps its size
// and times, as a failing disk would: `damage FOLDER`.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FOLDER")
	}
	done := false
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || done {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		if err := os.Chmod(p, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(p, b, 0o644); err != nil {
			return err
		}
		done = true
		return os.Chtimes(p, info.ModTime(), info.ModTime())
	}))
	if !done {
		ts.Fatalf("%s holds no file to damage", args[0])
	}
}

func TestAge(t *testing.T) {
	for s, want := range map[string]time.Duration{"90m": 90 * time.Minute, "0": 0, "2d": 48 * time.Hour, "1w": 168 * time.Hour} {
		if got, err := age(s); err != nil || got != want {
			t.Errorf("age(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "-3d", "-1h", "2 weeks", "99999999999999999w", "1.5d"} {
		if got, err := age(s); err == nil {
			t.Errorf("age(%q) = %v, want an error", s, got)
		}
	}
}
