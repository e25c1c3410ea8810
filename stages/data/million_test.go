package data

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

// BenchmarkMillionRows runs each stage that has to hold rows or ids over a
// million rows of some 500 bytes, and reports the peak of resident memory:
//
//	go test -run '^$' -bench MillionRows -benchtime 1x ./stages/data
func BenchmarkMillionRows(b *testing.B) {
	const rows = 1_000_000
	raw, _ := rowsFile(b, 485*rows, true)
	unnamed, _ := rowsFile(b, 460*rows, false)
	scan := func(path string) string { return fmt.Sprintf(`{"root":%q,"task":"gsm8k"}`, path) }
	problems := filepath.Join(b.TempDir(), "problems.jsonl")
	work := func(typ *stage.Type, config string, inputs map[string][]stage.Input, out map[string]string) {
		b.Helper()
		reg, err := stage.NewRegistry(typ)
		if err != nil {
			b.Fatal(err)
		}
		dir := b.TempDir()
		outputs := map[string]string{}
		for _, p := range typ.Outputs {
			outputs[p.Name] = filepath.Join(dir, p.Name)
			if out[p.Name] != "" {
				outputs[p.Name] = out[p.Name]
			}
		}
		res, err := reg.Run(b.Context(), stage.Task{Stage: "s", Type: typ.Type, Version: typ.Version, Config: []byte(config),
			Inputs: inputs, Outputs: outputs, WorkDir: filepath.Join(dir, "work")}, stage.Services{})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for _, p := range typ.Outputs {
			n += int(res.Rows[p.Name])
		}
		if n < rows*99/100 {
			b.Fatalf("%d rows", n)
		}
		_ = os.RemoveAll(dir)
	}
	work(Scan, scan(raw), nil, map[string]string{"problems": problems})
	input := stage.Input{Path: problems, Label: "problems"}
	in := map[string][]stage.Input{"rows": {input}}
	for _, c := range []struct {
		name   string
		typ    *stage.Type
		config string
		inputs map[string][]stage.Input
	}{
		{"scan", Scan, scan(raw), nil},
		{"scan-without-ids", Scan, scan(unnamed), nil},
		{"import", Import, scan(raw), nil},
		{"concat", Concat, `{}`, in},
		{"sort", Sort, `{"by":["level desc","question"]}`, in},
		{"join", Join, `{"fields":["level"]}`, map[string][]stage.Input{"rows": {input}, "with": {input}}},
		{"split", Split, `{}`, in},
		{"sample", Sample, `{"n":500000}`, in},
	} {
		b.Run(c.name, func(b *testing.B) {
			debug.FreeOSMemory()
			if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
				b.Log("the peak includes what ran before: ", err)
			}
			for b.Loop() {
				work(c.typ, c.config, c.inputs, nil)
			}
			if peak, err := peakMemory(); err == nil {
				b.ReportMetric(float64(peak)/1e6, "peak-MB")
			}
		})
	}
}
