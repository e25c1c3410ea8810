package data

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

// benchRow is what a decoder needs to know of the generated rows.
type benchRow struct {
	ID       string  `json:"id"`
	Question string  `json:"question"`
	Answer   string  `json:"answer"`
	Level    int     `json:"level"`
	Source   *string `json:"source"`
}

// writeRows writes rows like those of grade-school mathematics, about as long,
// until there are at least so many bytes. Without named, the rows have no ids.
func writeRows(w io.Writer, bytes int64, named bool) (rows int, err error) {
	words := strings.Fields(`a train leaves the station with some passengers and at each stop
		half of them get off while café guests “twelve” board how many are left when it arrives if
		every ticket costs $3.50 & nobody pays twice`)
	r := rand.New(rand.NewPCG(1, 1))
	b := bufio.NewWriterSize(w, 1<<20)
	var line []byte
	for written := int64(0); written < bytes; rows++ {
		line = append(line[:0], '{')
		if named {
			line = fmt.Appendf(line, `"id": "row-%09d", `, rows)
		}
		line = fmt.Appendf(line, `"question": "%d`, rows)
		for range 35 {
			line = append(append(line, ' '), words[r.IntN(len(words))]...)
		}
		line = append(line, `?", "answer": "First count them.\n`...)
		for range 25 {
			line = append(append(line, words[r.IntN(len(words))]...), ' ')
		}
		n := r.IntN(1000)
		line = fmt.Appendf(line, `<<%d*2=%d>>\n#### %d", "level": %d, "source": null}`+"\n", n, 2*n, 2*n, n%5)
		written += int64(len(line))
		if _, err := b.Write(line); err != nil {
			return rows, err
		}
	}
	return rows, b.Flush()
}

func rowsFile(tb testing.TB, bytes int64, named bool) (path string, rows int) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "rows.jsonl")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	if rows, err = writeRows(f, bytes, named); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path, rows
}

// scanFile runs scan as the engine does.
func scanFile(tb testing.TB, path string) int64 {
	tb.Helper()
	reg, err := stage.NewRegistry(Scan)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	res, err := reg.Run(context.Background(), stage.Task{
		Stage: "s", Type: "scan", Version: Scan.Version,
		Config:  fmt.Appendf(nil, `{"root":%q,"task":"gsm8k"}`, path),
		Outputs: map[string]string{"problems": filepath.Join(dir, "p"), "quarantine": filepath.Join(dir, "q")},
		WorkDir: filepath.Join(dir, "work"),
	}, stage.Services{})
	if err != nil {
		tb.Fatal(err)
	}
	return res.Rows["problems"]
}

// decodeFile is what scan is measured against: encoding/json on one core, row by
// row, into a struct or into anything.
func decodeFile[T any](tb testing.TB, path string) (rows int64) {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for line, err := range stage.Lines(f) {
		if err != nil {
			tb.Fatal(err)
		}
		var row T
		if err := json.Unmarshal(line.Text, &row); err != nil {
			tb.Fatal(err)
		}
		rows++
	}
	return rows
}

// BenchmarkScan reads, normalises, checks and writes 64 MB of rows; the reference
// decodes them with encoding/json and does nothing else.
func BenchmarkScan(b *testing.B) {
	const size = 64 << 20
	named, _ := rowsFile(b, size, true)
	unnamed, _ := rowsFile(b, size, false)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"scan", func() { scanFile(b, named) }},
		{"scan-without-ids", func() { scanFile(b, unnamed) }},
		{"decode-struct", func() { decodeFile[benchRow](b, named) }},
		{"decode-map", func() { decodeFile[map[string]any](b, named) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				c.run()
			}
		})
	}
}

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

// peakMemory is the largest resident size of this process so far, in bytes. It
// is known on Linux only.
func peakMemory() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("the peak of memory is not known here: %w", err)
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	n, err := strconv.ParseInt(strings.Fields(line)[0], 10, 64)
	return n << 10, err
}
