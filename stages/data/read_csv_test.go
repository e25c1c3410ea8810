package data

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

func TestTables(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want, fails string }{
		"rows":              {text: "b,a\n1,x\n\n2,\n", want: `2:{"b":"1","a":"x"}|4:{"b":"2","a":""}`},
		"BOM, CRLF, quotes": {text: "\ufeffa,b\r\n\"x,\r\n\"\"y\"\"\",<z>\r\n1,2\r\n", want: `2:{"a":"x,\n\"y\"","b":"<z>"}|4:{"a":"1","b":"2"}`},
		"tabs":              {file: "t.tsv", text: "a,c\tb\n1\t2", want: `2:{"a,c":"1","b":"2"}`},
		"semicolons":        {text: "\"a,c\";b\n1,5;2\n", want: `2:{"a,c":"1,5","b":"2"}`},
		"tabs in a .csv":    {text: "a\tb\n1,5\t2\n", want: `2:{"a":"1,5","b":"2"}`},
		"one column":        {text: "a\nx\n", want: `2:{"a":"x"}`},
		"compressed":        {file: "T.CSV.gz", text: gzipped(t, "a,b\n1,2\n"), want: `2:{"a":"1","b":"2"}`},
		"nothing":           {},
		"a header alone":    {text: "a,b\n"},
		"blanks in names":   {text: "a , b\n1,2\n", want: `2:{"a":"1","b":"2"}`},
		"too few and many":  {text: "a,b\n1\n2,3,4\n5,6\n", want: `2!1|3!2,3,4|4:{"a":"5","b":"6"}`},
		"not UTF-8":         {text: "a,b\n1,\xff\n", want: "2!1,\xff"},
		"no name":           {text: ",a\n0,1\n", fails: "1: column 1 has no name: "},
		"a name twice":      {text: "\na,b,a\n0,1,2\n", fails: `2: columns 1 and 3 are both called "a": rename one`},
		"a UTF-16 header":   {text: "\xff\xfea\x00", fails: "1: the header is not valid UTF-8"},
		"a bare mark":       {text: "a,b\n1,2\n3,5\" x\n", want: `2:{"a":"1","b":"2"}`, fails: "3: a quotation mark stands inside"},
		"an open mark":      {text: "a,b\n\"1\n\n\",2\n\"3,4\n5,6\n", want: `2:{"a":"1\n\n","b":"2"}`, fails: "5: a cell of the row that begins here"},
		"text after a mark": {text: "a,b\n\"1\"x,2\n", fails: "2: a cell of the row that begins here"},
		"cut off":           {file: "t.csv.gz", text: gzipped(t, "a,b\n"+strings.Repeat("1,2\n", 9))[:14], fails: "the compressed file ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.file == "" {
				c.file = "t.csv"
			}
			path := write(t, t.TempDir(), c.file, c.text)
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

func TestTablesScanned(t *testing.T) {
	p := write(t, t.TempDir(), "rows.csv", "id,question,answer\na,q,1\nb,q\nc,\"q\nr\",3\n")
	cfg := scanConfig{Root: stage.Path(p), Task: "gsm8k", OnError: onSkip}
	_, rows, warnings, err := run(t, t.Context(), cfg)
	if err != nil || len(rows) != 2 || rows[1].Question != "q\nr" || rows[1].GoldAnswer != "3" {
		t.Errorf("%v, %v", rows, err)
	}
	if want := "rows.csv:3: the row has 2 fields, and the header names 3 columns"; len(warnings) != 1 || !strings.Contains(warnings[0], want) {
		t.Errorf("warnings %q, want %s", warnings, want)
	}
	if e, err := cfg.Estimate(t.Context(), stage.Question{}); err != nil || *e.Rows["problems"] != (stage.Range{Max: 3}) {
		t.Errorf("%v, %v", e.Rows["problems"], err)
	}
	cfg.OnError = onError
	if _, _, _, err := run(t, t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "rows.csv:3: the row has 2 fields") {
		t.Error(err)
	}
	cfg.Root = stage.Path(write(t, t.TempDir(), "rows.csv", "id,question\n"))
	if _, _, _, err := run(t, t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "holds no rows") {
		t.Error(err)
	}
}

func TestTableRowIsBounded(t *testing.T) {
	c := &rowCap{r: strings.NewReader("x"), read: stage.MaxLine + 1}
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "longer than 256 MiB") {
		t.Error(err)
	}
}

// FuzzTable makes sure that rows are JSON objects of as many texts as the header names.
func FuzzTable(f *testing.F) {
	f.Add("a,b\n\"1\n\",2\n3\n", false)
	f.Add("\ufeffa;b\r\n1;\xff\r\n", false)
	f.Add("a\tb\n\"\t\"\t\"\"\n", true)
	f.Fuzz(func(t *testing.T, text string, tabs bool) {
		columns := -1
		for row, err := range tableRecords(strings.NewReader(text), tabs) {
			if err != nil || row.fault != nil {
				continue
			}
			var m map[string]string
			if err := json.Unmarshal(row.text, &m); err != nil {
				t.Fatalf("%q: %v", row.text, err)
			}
			if columns >= 0 && len(m) != columns {
				t.Fatalf("%d columns, then %d", columns, len(m))
			}
			columns = len(m)
		}
	})
}
