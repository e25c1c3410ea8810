package sampledata

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

type anyRow map[string]any

func load(t *testing.T, lines [][]byte) []anyRow {
	t.Helper()
	var rows []anyRow
	for _, l := range lines {
		var r anyRow
		if err := json.Unmarshal(l, &r); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		rows = append(rows, r)
	}
	return rows
}

func (r anyRow) text(fields ...string) string {
	var out []string
	for _, f := range fields {
		s, _ := r[f].(string)
		out = append(out, s)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

func TestSplitsShareNothing(t *testing.T) {
	for _, task := range Tasks() {
		t.Run(task, func(t *testing.T) {
			set, err := Generate(task)
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Train) != TrainRows || len(set.Test) != TestRows {
				t.Fatalf("%d and %d rows", len(set.Train), len(set.Test))
			}
			ids, words, numbers := map[string]bool{}, map[string]bool{}, map[string]bool{}
			for _, r := range load(t, slices.Concat(set.Train, set.Test)) {
				id, q := r["id"].(string), r.text("question")
				if q == "" {
					q = r.text("premise", "hypothesis")
				}
				n := Numbers(r.text("question", "premise", "hypothesis", "table"))
				if ids[id] || words[q] || n != "" && numbers[n] {
					t.Errorf("%s repeats another row's id, question or numbers: %s [%s]", id, q, n)
				}
				ids[id], words[q], numbers[n] = true, true, true
			}
			again, err := Generate(task)
			if err != nil || !bytes.Equal(bytes.Join(set.Train, nil), bytes.Join(again.Train, nil)) || !bytes.Equal(bytes.Join(set.Test, nil), bytes.Join(again.Test, nil)) {
				t.Errorf("two runs differ (%v)", err)
			}
		})
	}
	if _, err := Generate("chess"); err == nil {
		t.Error("an unknown task must fail")
	}
}

func TestChoices(t *testing.T) {
	for task, n := range map[string]int{"arc_challenge": 4, "commonsense_qa": 5, "date": 6} {
		set, err := Generate(task)
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]int{}
		for _, r := range load(t, slices.Concat(set.Train, set.Test)) {
			c := r["choices"].(map[string]any)
			labels, texts := c["label"].([]any), c["text"].([]any)
			if len(labels) != n || len(texts) != n || !slices.Contains(labels, r["answerKey"]) {
				t.Errorf("%s: %v", task, r)
			}
			seen := map[any]bool{}
			for _, x := range texts {
				if seen[x] {
					t.Errorf("%s: choice %v stands twice in %v", task, x, r["id"])
				}
				seen[x] = true
			}
			keys[r["answerKey"].(string)]++
		}
		if len(keys) != n {
			t.Errorf("%s: answers are spread over %v only", task, keys)
		}
	}
}

// TestYesterday recomputes one kind of date problem in another way: from the
// question's own words, counting seconds.
func TestYesterday(t *testing.T) {
	set, err := Generate("date")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, r := range load(t, slices.Concat(set.Train, set.Test)) {
		day, ok := strings.CutPrefix(r.text("question"), "Yesterday was ")
		if !ok {
			continue
		}
		day, ask, _ := strings.Cut(day, ". What is the date ")
		when, err := time.Parse("January 2, 2006", day)
		if err != nil {
			t.Fatal(err)
		}
		days := map[string]int64{"today": 1, "tomorrow": 2, "one week from today": 8, "10 days ago": -9}
		n, ok := days[strings.TrimSuffix(ask, " in MM/DD/YYYY?")]
		if !ok {
			t.Fatalf("%q", ask)
		}
		y, m, d := time.Unix(when.Unix()+n*86400, 0).UTC().Date()
		c := r["choices"].(map[string]any)
		i := slices.Index(c["label"].([]any), r["answerKey"])
		if got, want := c["text"].([]any)[i], fmt.Sprintf("%02d/%02d/%04d", m, d, y); got != want {
			t.Errorf("%s: %v, want %s", r.text("question"), got, want)
		}
		checked++
	}
	if checked < 5 {
		t.Errorf("only %d rows checked", checked)
	}
}

func TestLabelsAreBalanced(t *testing.T) {
	for task, field := range map[string]string{"anli": "label", "strategy_qa": "answer"} {
		set, err := Generate(task)
		if err != nil {
			t.Fatal(err)
		}
		count := map[any]int{}
		for _, r := range load(t, slices.Concat(set.Train, set.Test)) {
			count[r[field]]++
		}
		for v, n := range count {
			if n*len(count)*2 < 3*(TrainRows+TestRows)/2 || len(count) < 2 {
				t.Errorf("%s: %v has %d rows of %v", task, v, n, count)
			}
		}
	}
}

func TestSolutionsHoldTheAnswer(t *testing.T) {
	set, err := Generate("table_mwp")
	if err != nil {
		t.Fatal(err)
	}
	free, chosen := 0, 0
	for _, r := range load(t, slices.Concat(set.Train, set.Test)) {
		if !strings.Contains(r.text("solution"), r.text("answer")) {
			t.Errorf("%s: %q is not in %q", r["id"], r.text("answer"), r.text("solution"))
		}
		if c, ok := r["choices"].([]any); ok {
			chosen++
			if !slices.Contains(c, r["answer"]) {
				t.Errorf("%s: %v is none of %v", r["id"], r["answer"], c)
			}
		} else {
			free++
		}
	}
	if free < 20 || chosen < 20 {
		t.Errorf("%d free answers, %d choices", free, chosen)
	}
	set, err = Generate("math")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range load(t, set.Train) {
		if strings.Count(r.text("solution"), `\boxed{`) != 1 {
			t.Errorf("%s: %s", r["id"], r.text("solution"))
		}
	}
}

var equation = regexp.MustCompile(`\(?\$?(-?\d+(?:\.\d+)?) ([-+]) \$?(\d+(?:\.\d+)?)(?:\) / 1)? = \$?(-?\d+(?:\.\d+)?)`)

// TestTableEquationsHold recomputes the two-number sums and differences that
// table solutions state, and that the answer is the last of them.
func TestTableEquationsHold(t *testing.T) {
	set, err := Generate("table_mwp")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, r := range load(t, slices.Concat(set.Train, set.Test)) {
		s := r.text("solution")
		if strings.Count(s, " + ") > 1 { // longer sums are not of this form
			continue
		}
		for _, m := range equation.FindAllStringSubmatch(s, -1) {
			var v [3]*big.Rat
			for i, text := range []string{m[1], m[3], m[4]} {
				v[i], _ = new(big.Rat).SetString(text)
			}
			got := new(big.Rat).Add(v[0], v[1])
			if m[2] == "-" {
				got.Sub(v[0], v[1])
			}
			if got.Cmp(v[2]) != 0 || m[4] != r.text("answer") {
				t.Errorf("%s: %s, answer %s", r["id"], m[0], r.text("answer"))
			}
			for _, n := range []string{m[1], m[3]} {
				if !strings.Contains(r.text("table"), n) {
					t.Errorf("%s: %s does not stand in the table", r["id"], n)
				}
			}
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("only %d equations checked", checked)
	}
}
