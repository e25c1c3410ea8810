package flow_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/stage"
)

// far is a place from which stages fetch a text when they run.
type far struct {
	dir    string            // of the cache
	texts  map[string]string // by exact name
	now    map[string]string // exact names by those that others can change
	spoilt bool              // gives other bytes than it tells of
}

func (f *far) exact(name string) string {
	if e, ok := f.now[name]; ok {
		return e
	}
	return name
}

func (f *far) place(exact string) string {
	return filepath.Join(f.dir, strings.ReplaceAll(exact, "/", "_"))
}

// farConfig is bound to one far place by its type, for configs carry no services.
type farConfig struct {
	Name stage.Path `json:"name" required:"true" doc:"What to fetch."`
}

var theFar *far // of the test that runs; these tests do not run in parallel

func (c farConfig) Externals(context.Context) ([]stage.External, error) {
	exact := theFar.exact(string(c.Name))
	text, ok := theFar.texts[exact]
	if !ok {
		return nil, stage.Invalid("name", "%s is nowhere", c.Name)
	}
	sum := sha256.Sum256([]byte(text))
	r := stage.Remote{URL: exact, Cache: theFar.dir, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(text)), Heavy: true}
	return []stage.External{
		{Name: "text", Path: theFar.place(exact), Remote: r},
		{Path: filepath.Join(theFar.dir, "list"), Aside: true, Remote: stage.Remote{URL: exact, Cache: theFar.dir}},
	}, nil
}

func (c farConfig) Revisions(context.Context) ([]stage.Revision, error) {
	if e := theFar.exact(string(c.Name)); e != string(c.Name) {
		return []stage.Revision{{Name: string(c.Name), Resolved: e}}, nil
	}
	return nil, nil
}

func newFarBench(t *testing.T) (*bench, *far) {
	b := newBench(t, "stages:\n  a: {uses: far, with: {name: \"far://x\"}}\n")
	f := &far{dir: t.TempDir(), texts: map[string]string{"far://x@1": "one", "far://x@2": "two", "far://x@3": "one"}, now: map[string]string{"far://x": "far://x@1"}}
	theFar = f
	fetch := stage.Define(stage.Spec{Type: "far", Version: 1, Class: stage.Pure, Doc: "Fetches."},
		func(_ context.Context, _ *stage.Env, c farConfig, _ noIn, out wordsOut) error {
			exact := f.exact(string(c.Name))
			text := f.texts[exact]
			if f.spoilt {
				text += "!"
			}
			if _, err := os.Stat(f.place(exact)); err != nil { // a cache does not load twice
				if err := os.WriteFile(f.place(exact), []byte(text), 0o644); err != nil {
					return err
				}
			}
			return out.Words.Write(word{text})
		})
	reg, err := stage.NewRegistry(fetch)
	if err != nil {
		t.Fatal(err)
	}
	b.eng.Registry = reg
	return b, f
}

// A file whose digest is known need not be there to plan, and its stage fetches it.
// Once it is there its content counts.
func TestRemoteFile(t *testing.T) {
	b, f := newFarBench(t)
	b.plan()
	if _, err := os.Stat(f.place("far://x@1")); err == nil {
		t.Error("planning fetched the file")
	}
	b.mustRun("a")
	b.mustRun("") // the key of what is there is that of what was told
	if err := os.Remove(f.place("far://x@1")); err != nil {
		t.Fatal(err)
	}
	b.mustRun("") // nor is it needed for a result that is there
	f.now["far://x"] = "far://x@3"
	b.mustRun("") // the same content by another name
	f.now["far://x"] = "far://x@2"
	b.mustRun("a")
}

// A result that was made from other bytes than were told of is not found by what was
// told.
func TestRemoteFileThatLies(t *testing.T) {
	b, f := newFarBench(t)
	f.spoilt = true
	b.mustRun("a a") // thrown away, and made again from what is there
	f.spoilt = false
	if err := os.Remove(f.place("far://x@1")); err != nil {
		t.Fatal(err)
	}
	b.mustRun("a")
}

// A run that is bound to its lock reads what the names stood for.
func TestPinnedRun(t *testing.T) {
	b, f := newFarBench(t)
	b.locks()
	l, err := lock.Read(b.path("recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Pins(); len(got) != 1 || got["far://x"] != "far://x@1" {
		t.Errorf("pins %v", got)
	}
	f.now["far://x"] = "far://x@2"
	reg := b.eng.Registry
	if b.eng.Registry, err = lock.Pinned(reg, l.Pins()); err != nil {
		t.Fatal(err)
	}
	b.eng.StoreDir = b.path("other")
	if ran, err := b.runLocked(flow.RunOptions{}); err != nil || ran != "a" {
		t.Errorf("ran %q, %v", ran, err)
	}
	b.eng.Registry = reg
	var dev *lock.DeviationError
	if _, err := b.runLocked(flow.RunOptions{}); !errors.As(err, &dev) {
		t.Errorf("not bound: %v", err)
	}
	f.now["far://x"] = "far://x@3" // the same content, so only the name tells
	_, err = b.runLocked(flow.RunOptions{})
	if !errors.As(err, &dev) || !slices.ContainsFunc(dev.Deviations, func(d lock.Deviation) bool {
		return strings.Contains(d.Reason, "far://x was far://x@1, and is far://x@3")
	}) {
		t.Errorf("moved without change: %v", err)
	}
}
