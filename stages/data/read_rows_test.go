package data

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/distillflow/distillflow/flow/stage"
)

// readAll reads a file and gives "line:text" of each row, "line(row):text" where
// a row is not the first of its line.
func readAll(t *testing.T, path string) (string, error) {
	t.Helper()
	var rows []string
	err := eachLineOf(t.Context(), file{path: path}, func(at place, line []byte) error {
		where := fmt.Sprint(at.line)
		if at.row > 0 {
			where += fmt.Sprintf("(%d)", at.row)
		}
		mark := ":"
		if at.fault != nil {
			mark = "!"
		}
		rows = append(rows, where+mark+string(line))
		return nil
	})
	return strings.Join(rows, "|"), err
}

func TestLayouts(t *testing.T) {
	for name, c := range map[string]struct{ text, want, fails string }{
		"lines":                  {text: "{\"a\": 1}\r\n\n {\"a\":2} ", want: `1:{"a": 1}|3:{"a":2}`},
		"a list":                 {text: "\ufeff[\n  {\n    \"a\": [1, \"x ] , }\"],\n    \"b\": \"\\\"{\\\\\"\n  },\n  {\"a\": 2}\n]\n", want: `2:{"a":[1,"x ] , }"],"b":"\"{\\"}|6:{"a": 2}`},
		"a list in one line":     {text: `[{"a": 1}, {"a": 2},{"a": 3}]`, want: `1:{"a": 1}|1(2):{"a": 2}|1(3):{"a": 3}`},
		"an empty list":          {text: "[\n]\n"},
		"a list of no objects":   {text: "[1, \"a b\", null,\n[2], true]", want: `1:1|1(2):"a b"|1(3):null|2:[2]|2(5):true`},
		"objects":                {text: "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}{\"a\": 3}\n", want: `1:{"a":1}|4:{"a":2}|6(3):{"a": 3}`},
		"objects, wrapped":       {text: "{\"a\": [\n  {\"b\": 1}],\r\n \"c\": 2}\n{\"a\": 3}\n", want: `1:{"a":[{"b":1}],"c":2}|4:{"a": 3}`},
		"a bad object":           {text: "{\n  \"a\": 1,\n}\n{\n}\n", want: "1:{\n  \"a\": 1,\n}|4:{}"},
		"a broken first line":    {text: "{\"a\": 1,\n{\"a\": 2}\n", want: `1:{"a": 1,|2:{"a": 2}`},
		"a broken string":        {text: "{\"a\": \"x\nb\": 2}\n", want: `1:{"a": "x|2:b": 2}`},
		"one broken line":        {text: "{\"a\": 1,\n", want: `1:{"a": 1,`},
		"no JSON":                {text: "id,question\n1,2\n", want: "1:id,question|2:1,2"},
		"a list that is cut off": {text: "[\n{\"a\": 1},\n", want: `2:{"a": 1}`, fails: "rows:1: the list that begins here does not end"},
		"a row that is cut off":  {text: "[\n{\"a\": 1},\n{\"a\":\n", want: `2:{"a": 1}`, fails: "rows:3: the row that begins here does not end: a bracket"},
		"a string cut off":       {text: "[\n{\"a\": \"x", fails: "rows:2: the row that begins here does not end: a quotation mark"},
		"an open string":         {text: "{\n\"a\": \"x\n}\n", fails: "rows:2: a string is not closed on this line"},
		"brackets without end":   {text: strings.Repeat("[", 1<<20), fails: "rows:1: the row that begins here does not end"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, t.TempDir(), "rows", c.text)
			got, err := readAll(t, path)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
		})
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

func TestCompressed(t *testing.T) {
	const text = "{\"a\": 1}\n{\"a\": 2}\n"
	const want = `1:{"a": 1}|2:{"a": 2}`
	big := strings.Repeat(text, 1000)
	for name, c := range map[string]struct{ text, want, fails string }{
		"gzip":                 {text: gzipped(t, text), want: want},
		"gzip, two members":    {text: gzipped(t, "{\"a\": 1}\n") + gzipped(t, "{\"a\": 2}\n"), want: want},
		"zstd":                 {text: zstded(t, text), want: want},
		"zstd, skipped frame":  {text: "\x50\x2a\x4d\x18\x02\x00\x00\x00xx" + zstded(t, text), want: want},
		"a list, compressed":   {text: gzipped(t, "[\n{\"a\":\n1}]"), want: `2:{"a":1}`},
		"a wrong name":         {text: text, want: want},
		"gzip, cut off":        {text: gzipped(t, big)[:60], fails: "the compressed file ends too early"},
		"zstd, cut off":        {text: zstded(t, big)[:20], fails: "the compressed file ends too early"},
		"gzip, damaged":        {text: gzipped(t, text)[:30] + "xxxxxxxxxxxxxxxxxxx", fails: "decompressing: "},
		"zstd, a large window": {text: "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", fails: "a window of more than 128 MiB"},
		"zip":                  {text: "PK\x03\x04rest", fails: "the file is a zip archive: unpack it"},
		"xz":                   {text: "\xfd7zXZ\x00rest", fails: "decompress it with xz -d"},
		"Parquet":              {text: "PAR1rest", fails: "name it .parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, t.TempDir(), "rows.jsonl.gz", c.text)
			got, err := readAll(t, path)
			if c.fails == "" && (err != nil || got != c.want) {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
		})
	}
	if n, err := io.Copy(io.Discard, expanded(strings.NewReader(text), int64(len(text)))); err != nil || n != int64(len(text)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := io.Copy(io.Discard, expanded(strings.NewReader(text), int64(len(text))-1)); err == nil || !strings.Contains(err.Error(), "more than 256 MiB and more than 200 times its size") {
		t.Errorf("a bomb: %v", err)
	}
}

func TestListCompressed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.jsonl", "b.jsonl.gz", "sub/c.jsonl.zst", "d.json", "e.csv", "f.enriched.jsonl.gz", "train/g.jsonl.gz"} {
		write(t, dir, name, "")
	}
	write(t, dir, "twice/a.jsonl", "")
	write(t, dir, "twice/a.jsonl.gz", "")
	for root, want := range map[string]string{
		"":                    "both a.jsonl and a.jsonl.gz",
		"*.gz":                "b.jsonl.gz",
		"**/*.jsonl*":         "both twice/a.jsonl and twice/a.jsonl.gz",
		"*.jsonl":             "a.jsonl",
		"*.enriched.*.gz":     "",
		"*.enriched.jsonl.gz": "f.enriched.jsonl.gz",
		"sub":                 "c.jsonl.zst",
		"*.json":              "d.json",
		"*.csv":               "e.csv",
	} {
		files, err := listFiles(t.Context(), filepath.Join(dir, root), false)
		if root == "" { // with what is only below it
			files, err = listFiles(t.Context(), filepath.Join(dir, "twice"), false)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.name)
		}
		if err != nil {
			if errs := stage.FieldErrors(err); len(errs) != 1 || want == "" && !strings.Contains(err.Error(), "no data files") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", root, err, want)
			}
		} else if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", root, got, want)
		}
	}
}
