package hf

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var trainTexts = []string{
	"Ann has 12 pens and buys 3 more, so she has 15 pens. How many pens does she have now?",
	"Step 1: let x = 4 + 3. Step 2: double it, 2 * x = 14. Therefore the answer is 14.",
	"def add(a, b):\n    return a + b  # adds two numbers\nprint(add(12, 30))",
	"Caf\u00e9 na\u00efve fa\u00e7ade \u00fcber \u4f60\u597d",
}

func TestTrainBPE(t *testing.T) {
	o := TrainOptions{Size: 320, Special: []string{"<pad>", "<bos>", "<eos>"}, BOS: "<bos>"}
	data, err := TrainBPE(trainTexts, o)
	if err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(trainTexts)
	slices.Reverse(reversed)
	again, err := TrainBPE(reversed, o)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("the result depends on the order of the texts (%v)", err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if tok.Size() > o.Size || tok.Size() < 280 {
		t.Errorf("%d ids, want up to %d", tok.Size(), o.Size)
	}
	for _, text := range append(trainTexts, "", " ", "\u2603 x\x00", "unseen Words!  ") {
		e, err := tok.Encode(text, true)
		if err != nil {
			t.Fatal(err)
		}
		if e.IDs[0] != 1 {
			t.Errorf("%q does not begin with BOS: %v", text, e.IDs)
		}
		if back, err := tok.Decode(e.IDs, true); err != nil || back != text {
			t.Errorf("%q became %q (%v)", text, back, err)
		}
		if text == trainTexts[0] && e.Len() >= len(text)*3/4 {
			t.Errorf("%q is %d tokens: nothing was learned", text, e.Len())
		}
	}
	if path := os.Getenv("DISTILLFLOW_TRAINED"); path != "" {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTrainBPEReference compares the merges with those of the reference library's
// trainer on the same texts.
func TestTrainBPEReference(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "trained", "merges.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Texts  []string    `json:"texts"`
		Size   int         `json:"size"`
		Merges [][2]string `json:"merges"`
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	made, err := TrainBPE(want.Texts, TrainOptions{Size: want.Size, Special: []string{"<pad>", "<bos>", "<eos>"}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Model struct {
			Merges [][2]string `json:"merges"`
		} `json:"model"`
	}
	if err := json.Unmarshal(made, &got); err != nil {
		t.Fatal(err)
	}
	if len(want.Merges) < 100 || !slices.Equal(got.Model.Merges, want.Merges) {
		t.Errorf("merges differ:\n%v\nwant\n%v", got.Model.Merges, want.Merges)
	}
}

func TestTrainBPEErrors(t *testing.T) {
	for name, o := range map[string]TrainOptions{
		"size":    {Size: 255},
		"BOS":     {Size: 300, BOS: "<s>"},
		"twice":   {Size: 300, Special: []string{"<s>", "<s>"}},
		"byte":    {Size: 300, Special: []string{"a"}},
		"nothing": {Size: 300, Special: []string{""}},
	} {
		if _, err := TrainBPE(nil, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
