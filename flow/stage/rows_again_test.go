package stage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type numbered struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

func (numbered) RecordType() string { return "numbered" }

// Records are found again at their places, whatever stands around them.
func TestReadAgain(t *testing.T) {
	long := strings.Repeat("x", 2*bufferSize)
	path := filepath.Join(t.TempDir(), "rows")
	text := "\ufeff  {\"n\":0}\r\n\n \t\nno record\n\t{\"n\":1,\"text\":\"" + long + "\"} \n{\"n\":2}"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	rows := RowsFrom[numbered](path, "rows")
	var places []Place
	bad := 0
	for p, err := range rows.Placed() {
		if err != nil {
			bad++
			continue
		}
		if p.Record.N != len(places) {
			t.Errorf("record %d is %d", len(places), p.Record.N)
		}
		places = append(places, p.Place)
	}
	if len(places) != 3 || bad != 1 {
		t.Fatalf("%d records, %d bad lines", len(places), bad)
	}
	again, err := rows.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for i, p := range slices.Backward(places) {
		if r, err := again.At(p); err != nil || r.N != i || i == 1 && r.Text != long {
			t.Errorf("record %d again: %d, %d bytes, %v", i, r.N, len(r.Text), err)
		}
	}
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := again.At(places[2]); err == nil || !strings.Contains(err.Error(), "reading rows at byte") {
		t.Errorf("a file that was cut off: %v", err)
	}
}
