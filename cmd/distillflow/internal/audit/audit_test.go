package audit

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

func TestAllocate(t *testing.T) {
	for _, c := range []struct {
		n     int
		sizes []int
		want  []int
	}{
		{10, []int{100}, []int{10}},
		{10, []int{600, 300, 100}, []int{5, 3, 2}},
		{10, []int{3, 1}, []int{3, 1}},
		{100, []int{1000, 1}, []int{99, 1}},
		{3, []int{50, 50, 50}, []int{2, 2, 2}}, // at least two of each
		{100, []int{45000, 900, 100}, []int{96, 2, 2}},
		{5, nil, []int{}},
	} {
		var strata []Stratum
		for _, n := range c.sizes {
			strata = append(strata, Stratum{Paths: n})
		}
		if got := allocate(c.n, strata); !slices.Equal(got, c.want) {
			t.Errorf("%d of %v: %v, want %v", c.n, c.sizes, got, c.want)
		}
	}
}

// stratum of a number of paths, the sample of it drawn as Draw does.
func stratum(stage, style string, paths, sample int, response string) Stratum {
	st := Stratum{Stage: stage, Style: style}
	for i := range paths {
		key := schema.NoteKey{ID: fmt.Sprint(i), Style: style, Text: schema.TextHash(response)}
		st.add(Item{Output: runrecord.Output{Stage: stage, Port: "correct"}, Key: key, Question: "1 < 2?", Path: schema.Path{Style: style, Response: response}}, sample, 7)
	}
	st.cut(sample)
	return st
}

func TestRanksAreRandomAndNested(t *testing.T) {
	big, small := stratum("g", "cot", 5000, 500, "x"), stratum("g", "cot", 5000, 100, "x")
	if !cmp.Equal(big.Items[:100], small.Items, cmp.AllowUnexported(Item{})) || len(small.Items) != 100 {
		t.Error("a smaller sample is no part of a larger one")
	}
	sum := 0.0
	for _, it := range big.Items {
		var i float64
		fmt.Sscan(it.Key.ID, &i)
		sum += i / 500
	}
	if math.Abs(sum-2499.5) > 5*5000/math.Sqrt(12*500) { // five standard errors
		t.Errorf("the mean index is %.0f", sum)
	}
}

func TestEstimate(t *testing.T) {
	s := &Sample{Strata: []Stratum{stratum("g", "cot", 300, 30, "x"), stratum("g", "plain", 100, 10, "x"), stratum("h", "cot", 100, 10, "y")}}
	labels := map[schema.NoteKey]schema.Note{}
	mark := func(k schema.NoteKey, m string) { labels[k] = schema.Note{Mark: m} }
	for i, it := range s.Strata[0].Items {
		mark(it.Key, map[bool]string{true: schema.MarkWrong, false: schema.MarkRight}[i < 3])
	}
	for _, it := range s.Strata[1].Items[:5] {
		it.Key.Text = "" // written by hand
		mark(it.Key, schema.MarkRight)
	}
	mark(s.Strata[1].Items[6].Key, schema.MarkInteresting)
	mark(schema.NoteKey{ID: "elsewhere"}, schema.MarkWrong)
	mark(schema.NoteKey{ID: "elsewhere", Style: "cot"}, schema.MarkInteresting)
	e := s.Estimate(labels)
	_, low, high := stats.Weighted([]stats.Part{{Weight: 0.75, K: 3, N: 30}, {Weight: 0.25, K: 0, N: 5}}, stats.ClopperPearson)
	want := Labels{Paths: 500, Sample: 50, Labelled: 35, Wrong: 3, Rate: 0.75 * 0.1, Low: low, High: high}
	e.All.Rate = math.Round(e.All.Rate*1e12) / 1e12
	if d := cmp.Diff(want, e.All); d != "" {
		t.Error(d)
	}
	if e.Covered != 0.8 || e.Outside != 1 || e.Strata[2].Labelled != 0 || e.Strata[2].High != 1 {
		t.Errorf("%+v", e)
	}
	var b strings.Builder
	if err := e.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"7.5 % of the accepted paths", "speaks of 80.0 % of them", "15 paths of the sample to be labelled", "Not counted: 1 label on"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("%s lacks %q", b.String(), part)
		}
	}
	if e := (&Sample{}).Estimate(nil); e.All.Rate != 0 || e.All.High != 1 || e.Covered != 0 {
		t.Errorf("of nothing: %+v", e)
	}
}

func TestSheets(t *testing.T) {
	response := "=cmd|' /C calc'!A0\nsecond; \"line\", <b>"
	s := &Sample{Strata: []Stratum{stratum("g", "@c;t", 5, 5, response)}}
	s.Strata[0].Items[0].Key.ID, s.Strata[0].Items[1].Key.ID = "=1+2", "'=1+2" // a data set's words, too
	labels := map[schema.NoteKey]schema.Note{}
	for i, it := range s.Strata[0].Items[:4] {
		labels[it.Key] = schema.Note{ID: it.Key.ID, Style: it.Key.Style, Text: it.Key.Text, Mark: schema.MarkWrong, Comment: strings.Repeat("=", i) + "why", Stage: "g.correct"}
	}
	for _, name := range []string{"a.csv", "a.jsonl"} {
		var b bytes.Buffer
		write := s.WriteCSV
		if name == "a.jsonl" {
			write = s.WriteJSON
		}
		if err := write(&b, labels); err != nil {
			t.Fatal(err)
		}
		if name == "a.csv" {
			cells, err := csv.NewReader(bytes.NewReader(b.Bytes())).ReadAll()
			for _, cell := range slices.Concat(cells...) {
				if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
					t.Errorf("a formula: %q", cell)
				}
			}
			if err != nil {
				t.Error(err)
			}
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, append([]byte("\ufeff"), b.Bytes()...), 0o644); err != nil {
			t.Fatal(err)
		}
		list, err := ReadSheet(path)
		if err != nil {
			t.Fatal(err)
		}
		got := map[schema.NoteKey]schema.Note{}
		for _, n := range list {
			got[n.Key()] = n
		}
		if d := cmp.Diff(labels, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestWrongSheets(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.csv", "", "names no column mark"},
		{"a.csv", "mark;id\nright;a\n", ""},
		{"a.csv", "mark,id,replicate\nright,a,x\n", `line 2: replicate "x"`},
		{"a.csv", "mark,id\nright,\n", "line 2: a note needs the id"},
		{"a.csv", "mark,id\n\"right\n", "line 2"},
		{"a.csv", "mark,id\n RIGHT ,a\n,b\n", ""},
		{"a.jsonl", "{\"id\": 5}\n", "line 1: "},
		{"a.jsonl", "\n{broken\n", "line 2: "},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		list, err := ReadSheet(path)
		switch {
		case c.want == "" && (err != nil || len(list) != 1 || list[0].Mark != schema.MarkRight || list[0].ID != "a"):
			t.Errorf("%q: %+v, %v", c.text, list, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}
