package hf

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// expected is a line of what tools/oracle/tokenizers/expect.py writes.
type expected struct {
	Text    string  `json:"text"`
	Special bool    `json:"special"`
	IDs     []int32 `json:"ids"`
	Offsets []int   `json:"offsets"` // code points: start, end, start, ...
	Words   []int32 `json:"words"`
	Types   []int32 `json:"types"`
	Decoded string  `json:"decoded"`
	Skip    bool    `json:"skip"`
}

// compare encodes and decodes one text and reports the first difference.
func compare(t *testing.T, tok *Tokenizer, want *expected) bool {
	t.Helper()
	got, err := tok.Encode(want.Text, want.Special)
	if err != nil {
		t.Errorf("%q: %v", want.Text, err)
		return false
	}
	if !slices.Equal(got.IDs, want.IDs) {
		t.Errorf("%q:\n ids %v\nwant %v", want.Text, got.IDs, want.IDs)
		return false
	}
	var offsets []int
	for _, o := range got.CharOffsets() {
		offsets = append(offsets, o.Start, o.End)
	}
	if !slices.Equal(offsets, want.Offsets) {
		t.Errorf("%q:\noffsets %v\n   want %v", want.Text, offsets, want.Offsets)
		return false
	}
	if want.Words != nil && !slices.Equal(got.Words, want.Words) {
		t.Errorf("%q:\nwords %v\n want %v", want.Text, got.Words, want.Words)
		return false
	}
	if want.Types != nil && !slices.Equal(got.TypeIDs, want.Types) {
		t.Errorf("%q:\ntypes %v\n want %v", want.Text, got.TypeIDs, want.Types)
		return false
	}
	back, err := tok.Decode(want.IDs, want.Skip)
	if err != nil || back != want.Decoded {
		t.Errorf("%q:\ndecoded %q (%v)\n   want %q", want.Text, back, err, want.Decoded)
		return false
	}
	return true
}

// lines reads a file of JSON lines.
func lines(t testing.TB, path string, each func(line []byte)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<26)
	for s.Scan() {
		each(s.Bytes())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

const maxShown = 5

func TestReference(t *testing.T) {
	folder := os.Getenv("DISTILLFLOW_TOKENIZERS")
	if folder == "" {
		t.Skip("DISTILLFLOW_TOKENIZERS names no folder with what tools/oracle/tokenizers/expect.py wrote")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no .jsonl files in %s (%v)", folder, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".jsonl"), func(t *testing.T) {
			var tok *Tokenizer
			n, wrong, tokens := 0, 0, 0
			lines(t, path, func(line []byte) {
				if tok == nil {
					var head struct{ Tokenizer string }
					if err := json.Unmarshal(line, &head); err != nil {
						t.Fatal(err)
					}
					if tok, err = Load(head.Tokenizer); err != nil {
						t.Fatal(err)
					}
					return
				}
				var want expected
				if err := json.Unmarshal(line, &want); err != nil {
					t.Fatal(err)
				}
				n++
				tokens += len(want.IDs)
				if wrong >= maxShown {
					return
				}
				if !compare(t, tok, &want) {
					wrong++
				}
			})
			t.Logf("%d texts, %d tokens, %d mismatches (stops looking at %d)", n, tokens, wrong, maxShown)
		})
	}
}
