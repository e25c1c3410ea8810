package prices

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
)

// The committed table: dated, sourced, and every price within what is plausible for a
// million tokens, so that a slip of the decimal point is seen.
func TestCommittedTable(t *testing.T) {
	table, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^20\d\d-\d\d-\d\d$`).MatchString(table.AsOf) {
		t.Errorf("as_of is %q", table.AsOf)
	}
	n := 0
	for name, p := range table.providers {
		// Where the figures were read, when, and the provider's own page.
		if !strings.Contains(p.Source, "read 20") || !strings.Contains(p.Source, "https://") || p.Batch != 0.5 {
			t.Errorf("%s: source %q, batch %g", name, p.Source, p.Batch)
		}
		for m := range p.Models {
			n++
			c := table.Find(name, m)
			if c.Input < 0.01 || c.Input > 100 || c.Output < c.Input || c.Output > 500 {
				t.Errorf("%s/%s: %+v", name, m, c)
			}
			if (c.LongAbove > 0) != (c.LongInput > 0 && c.LongOutput > 0) || c.LongAbove > 0 && (c.LongInput < c.Input || c.LongOutput < c.Output) {
				t.Errorf("%s/%s: prices of long prompts %+v", name, m, c)
			}
		}
	}
	if n == 0 {
		t.Error("the table is empty")
	}
}

func TestFind(t *testing.T) {
	table, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Price{Input: 0.15, Output: 0.60, Batch: 0.5}
	for _, name := range []string{"gpt-4o-mini", "gpt-4o-mini-2024-07-18"} {
		if got := table.Find("openai", name); got == nil || *got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	want = llm.Price{Input: 1, Output: 5, Batch: 0.5, CacheWrite: 1.25, CacheRead: 0.1}
	if got := table.Find("anthropic", "claude-haiku-4-5-20251001"); got == nil || *got != want {
		t.Errorf("a name with a date in eight digits: %v", got)
	}
	if old := table.Find("openai", "gpt-4o-2024-05-13"); old == nil || old.Input != 5 {
		t.Errorf("a dated name that is listed itself: %v", old)
	}
	if b := table.Find("gemini", "gemini-2.5-pro").InBatch(); b.Input != 0.625 || b.Output != 5 || b.LongAbove != 200000 || b.LongInput != 1.25 || b.LongOutput != 7.5 {
		t.Errorf("in batches: %+v", b)
	}
	if table.Find("gemini", "models/gemini-2.5-flash") == nil {
		t.Error("the long form of a Gemini model has no price")
	}
	for _, n := range [][2]string{{"openai", "gpt-4o-mini-audio"}, {"openai", "meta-llama/Llama"}, {"nobody", "gpt-4o"}, {"gemini", "gpt-4o"}} {
		if p := table.Find(n[0], n[1]); p != nil {
			t.Errorf("%v: invented price %v", n, p)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for doc, want := range map[string]string{
		"openai: {source: x, models: {m: {input: 1, output: 1}}}":                            "as_of",
		"as_of: 2026-01\nopenai: {models: {m: {input: 1, output: 1}}}":                       "source",
		"as_of: 2026-01\nopenai: {source: x, models: {m: {input: 1}}}":                       "both",
		"as_of: 2026-01\nopenai: {source: x, models: {m: {input: -1, output: 1}}}":           "negative",
		"as_of: 2026-01\nopenai: {source: x, models: {m: {input: 1, otput: 1}}}":             "otput",
		"as_of: 2026-01\nopenai: {source: x, batch: 2}":                                      "from 0 to 1",
		"as_of: 2026-01\nopenai: {source: x, models: {m: {input: 1, output: 1, batch: -1}}}": "from 0 to 1",
		"[1": "prices",
	} {
		if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", doc, err, want)
		}
	}
}

func TestReadOwnFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, []byte("as_of: 2026-02\nopenai: {source: contract, models: {big: {input: 7, output: 8}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := Read(file)
	if err != nil || table.Find("openai", "big").Output != 8 {
		t.Fatal(table, err)
	}
	if _, err := Read(file + "x"); err == nil {
		t.Error("a missing file was read")
	}
}
