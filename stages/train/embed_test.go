package train

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

func TestEmbedGolden(t *testing.T) { golden(t, Embed) }

// A router that reads embeddings decides as one that reads the same encoder itself. Rows
// that were not embedded, two encoders at once and vectors of two widths are refused.
func TestTrainingReadsEmbeddings(t *testing.T) {
	encoder := string(tinyEncoder("bert"))
	dir := t.TempDir()
	problems := taught(t, 6, false)
	rows := writeRows(t, filepath.Join(dir, "rows.jsonl"), problems)
	out, err := runStage(t, t.Context(), "embed", t.TempDir(), fmt.Sprintf(`{"encoder": %q}`, encoder), 0, map[string]stage.Input{"paths": rows}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	embedded := stage.Input{Path: out["embeddings"], Label: "embeddings"}
	train := func(router string, in map[string]stage.Input) ([]schema.RouterDecision, error) {
		cfg := strings.Replace(tinyConfig, "{", `{"router": {`+router+`}, `, 1)
		out, err := runStage(t, t.Context(), "train-moe", t.TempDir(), cfg, 1, in, stage.Services{})
		if err != nil {
			return nil, err
		}
		return readRows[schema.RouterDecision](t, out["router_log"]), nil
	}
	want, err := train(fmt.Sprintf(`"encoder": %q`, encoder), map[string]stage.Input{"paths": rows})
	if err != nil {
		t.Fatal(err)
	}
	got, err := train(``, map[string]stage.Input{"paths": rows, "embeddings": embedded})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d decisions, by the encoder itself %d", len(got), len(want))
	}
	for i, d := range got {
		if w := want[i]; d.ID != w.ID || d.Student != w.Student || d.Probs["a"]-w.Probs["a"] > 1e-5 || w.Probs["a"]-d.Probs["a"] > 1e-5 {
			t.Fatalf("decision %d is %+v, by the encoder itself %+v", i, d, w)
		}
	}
	other, err := train(``, map[string]stage.Input{"paths": rows})
	if err != nil {
		t.Fatal(err)
	}
	if other[0].Probs["a"] == got[0].Probs["a"] {
		t.Error("hashed words give the same probabilities")
	}

	more := writeRows(t, filepath.Join(dir, "more.jsonl"), taught(t, 8, false))
	uneven := writeRows(t, filepath.Join(dir, "uneven.jsonl"), []schema.Embedding{{Text: "a", Vector: []float32{1}}, {Text: "b", Vector: []float32{0, 1}}})
	none := writeRows(t, filepath.Join(dir, "none.jsonl"), []schema.Embedding{})
	for name, x := range map[string]struct {
		router, want string
		in           map[string]stage.Input
	}{
		"other rows":   {``, "has nothing for problem", map[string]stage.Input{"paths": more, "embeddings": embedded}},
		"two encoders": {fmt.Sprintf(`"encoder": %q`, encoder), "router.encoder", map[string]stage.Input{"paths": rows, "embeddings": embedded}},
		"widths":       {``, "of 1 and of 2 numbers", map[string]stage.Input{"paths": rows, "embeddings": uneven}},
		"empty":        {``, "is empty", map[string]stage.Input{"paths": rows, "embeddings": none}},
	} {
		if _, err := train(x.router, x.in); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Another gate does not read them.
	if _, err := train(`"gate": "random"`, map[string]stage.Input{"paths": rows, "embeddings": none}); err != nil {
		t.Error(err)
	}
}
