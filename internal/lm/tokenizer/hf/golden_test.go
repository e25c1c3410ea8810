package hf

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goldenLine is a line of the golden files that tools/oracle/tokenizers/goldens.py
// makes: besides single texts, pairs and truncation.
type goldenLine struct {
	expected
	Pair     *string   `json:"pair"`
	Truncate []int     `json:"truncate"` // length, stride, left
	Overflow [][]int32 `json:"overflow"`
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) < 12 {
		t.Fatalf("%d golden tokenizers (%v)", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			tok, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			lines(t, strings.TrimSuffix(path, ".json")+".jsonl", func(line []byte) {
				var want goldenLine
				if err := json.Unmarshal(line, &want); err != nil {
					t.Fatal(err)
				}
				n++
				if want.Pair == nil && want.Truncate == nil {
					compare(t, tok, &want.expected)
					return
				}
				compareSpecial(t, tok, &want)
			})
			if n < 70 {
				t.Errorf("%d golden lines only", n)
			}
		})
	}
}

func compareSpecial(t *testing.T, tok *Tokenizer, want *goldenLine) {
	t.Helper()
	texts := []string{want.Text}
	if want.Pair != nil {
		texts = append(texts, *want.Pair)
	}
	o := Options{Special: want.Special}
	if c := want.Truncate; c != nil {
		o.Truncate = &Truncation{MaxLength: c[0], Stride: c[1], Left: c[2] == 1}
	}
	got, err := tok.EncodeWith(o, texts...)
	if err != nil {
		t.Errorf("%q: %v", texts, err)
		return
	}
	var offsets []int
	for _, o := range got.CharOffsets() {
		offsets = append(offsets, o.Start, o.End)
	}
	if !slices.Equal(got.IDs, want.IDs) || !slices.Equal(offsets, want.Offsets) || !slices.Equal(got.TypeIDs, want.Types) {
		t.Errorf("%q truncate %v:\n%v %v %v, want\n%v %v %v", texts, want.Truncate,
			got.IDs, offsets, got.TypeIDs, want.IDs, want.Offsets, want.Types)
	}
	if len(got.Overflow) != len(want.Overflow) && want.Pair == nil {
		t.Errorf("%q: %d parts of overflow, want %d", texts, len(got.Overflow), len(want.Overflow))
		return
	}
	for i, ids := range want.Overflow {
		if !slices.Equal(got.Overflow[i].IDs, ids) {
			t.Errorf("%q: overflow %d is %v, want %v", texts, i, got.Overflow[i].IDs, ids)
		}
	}
}

func TestGoldenSentencePiece(t *testing.T) {
	for _, name := range []string{"sentencepiece-bpe", "sentencepiece-unigram"} {
		tok, err := Load(filepath.Join("testdata", name+".model"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		lines(t, filepath.Join("testdata", name+".jsonl"), func(line []byte) {
			var want expected
			if err := json.Unmarshal(line, &want); err != nil {
				t.Fatal(err)
			}
			n++
			got, err := tok.Encode(want.Text, false)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.IDs, want.IDs) {
				t.Errorf("%s: %q:\n ids %v\nwant %v", name, want.Text, got.IDs, want.IDs)
			}
			if strings.ContainsRune(want.Decoded, 0x2047) {
				return // the library's sign for what is unknown
			}
			if back, err := tok.Decode(want.IDs, true); err != nil || back != want.Decoded {
				t.Errorf("%s: %q decodes to %q (%v), want %q", name, want.Text, back, err, want.Decoded)
			}
		})
		if n < 50 {
			t.Errorf("%s: %d lines only", name, n)
		}
	}
}
