package mathverify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type corpusPair struct{ file, gold, pred, want, reason string }

// corpus reads the pairs of testdata/corpus, one file per construct.
func corpus(t testing.TB) []corpusPair {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "corpus", "*.tsv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var out []corpusPair
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			c := strings.Split(strings.TrimSuffix(line, "\r"), "\t")
			if len(c) != 4 || !strings.Contains("=!?", c[2]) || c[3] == "" {
				t.Fatalf("%s:%d: want gold, prediction, verdict and reason", f, n+1)
			}
			out = append(out, corpusPair{filepath.Base(f), c[0], c[1], c[2], c[3]})
		}
	}
	return out
}

func TestCorpus(t *testing.T) {
	want := map[string]Verdict{"=": Equal, "!": Different, "?": Unknown}
	negatives, all := 0, corpus(t)
	for _, c := range all {
		if c.want != "=" {
			negatives++
		}
		r := Verify(c.gold, c.pred, Options{})
		if r.Verdict != want[c.want] {
			t.Errorf("%s: Verify(%q, %q) = %v (%s), want %v: %s\n\t%s\n\t%s", c.file, c.gold, c.pred, r.Verdict, r.Reason, want[c.want], c.reason, r.Gold, r.Pred)
		}
	}
	t.Logf("%d pairs, %d negative", len(all), negatives)
	if len(all) < 600 || negatives*10 < len(all)*4 {
		t.Errorf("%d pairs, %d of them negative: want 600, 40 %% negative", len(all), negatives)
	}
}
