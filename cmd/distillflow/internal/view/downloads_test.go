package view

import (
	"bytes"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

// Large downloads are told of, small ones are not, and none when nobody shows them.
func TestDownloads(t *testing.T) {
	s := hubtest.New(&hubtest.Repo{Kind: "model", Name: "acme/tiny", Large: []string{"model.safetensors"}, Files: map[string][]byte{
		"config.json": []byte("{}"), "model.safetensors": make([]byte, 3<<20),
	}})
	defer s.Close()
	for _, shown := range []bool{true, false} {
		c, err := hub.New(hub.Options{Endpoint: s.URL, CacheDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		snap, err := c.Resolve(t.Context(), hub.Ref{Kind: hub.Model, Repo: "acme/tiny"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		end := Downloads(&out)
		if !shown {
			end()
		}
		if _, err := snap.Fetch(t.Context(), "config.json", "model.safetensors"); err != nil {
			t.Fatal(err)
		}
		end()
		name := "hf://acme/tiny@" + snap.Commit + "/model.safetensors"
		want := "fetching " + name + ": 3.0 MiB\n"
		switch got := out.String(); {
		case !shown && got != "":
			t.Errorf("told when nobody was to be: %q", got)
		case shown && (!strings.HasPrefix(got, want) || !strings.HasSuffix(got, "fetched "+name+"\n") || strings.Contains(got, "config.json")):
			t.Errorf("told %q", got)
		}
	}
}
