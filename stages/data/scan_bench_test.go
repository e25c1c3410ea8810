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
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

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

// TestScanHeavy scans generated rows of DISTILLFLOW_HEAVY_MB megabytes (5,000
// unless set) and checks that memory stays below 300 MB, with the check for
// duplicate ids, whether the rows have ids or not.
func TestScanHeavy(t *testing.T) {
	if os.Getenv("DISTILLFLOW_HEAVY") == "" {
		t.Skip("set DISTILLFLOW_HEAVY=1 to scan 5 GB of rows; it takes 12 GB of disk and some minutes")
	}
	size := int64(5000)
	if s := os.Getenv("DISTILLFLOW_HEAVY_MB"); s != "" {
		var err error
		if size, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	size *= 1e6
	for _, named := range []bool{true, false} {
		t.Run(map[bool]string{true: "with-ids", false: "without-ids"}[named], func(t *testing.T) {
			path, rows := rowsFile(t, size, named)
			start := time.Now()
			if n := scanFile(t, path); n != int64(rows) {
				t.Errorf("%d rows of %d", n, rows)
			}
			took := time.Since(start)
			start = time.Now()
			decodeFile[benchRow](t, path)
			reference := time.Since(start)
			rate := func(d time.Duration) float64 { return float64(size) / 1e6 / d.Seconds() }
			t.Logf("%d rows: scan %.0f MB/s (%.1f s), encoding/json into a struct %.0f MB/s (%.1f s), on %d processors",
				rows, rate(took), took.Seconds(), rate(reference), reference.Seconds(), runtime.GOMAXPROCS(0))
			peak, err := peakMemory()
			if err != nil {
				t.Skip(err)
			}
			t.Logf("peak of resident memory: %.0f MB", float64(peak)/1e6)
			if peak > 300e6 {
				t.Errorf("scan takes %d bytes of memory, 300 MB are its bound", peak)
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
