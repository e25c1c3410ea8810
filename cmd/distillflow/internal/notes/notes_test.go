package notes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/schema"
)

// In a child process the test binary appends notes to the store named here.
const childEnv = "NOTES_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		for i := range 200 {
			n := schema.Note{ID: fmt.Sprintf("%d-%d", os.Getpid(), i), Mark: schema.MarkRight, Comment: strings.Repeat("x", i*40)}
			if err := Append(dir, n); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
		return
	}
	os.Exit(m.Run())
}

func emptyStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), ".distillflow")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestNotes(t *testing.T) {
	dir := emptyStore(t)
	if list, err := Read(dir); err != nil || len(list) != 0 {
		t.Fatalf("before the first note: %v, %v", list, err)
	}
	row := &schema.Problem{ID: "a", Paths: []schema.Path{{Style: "cot", Response: "4 < 5"}, {Style: "cot", Replicate: 1, Response: "5"}}}
	out := runrecord.Output{Stage: "graded", Port: "correct", Digest: "sha256-1"}
	both := []schema.Note{Of(out, row, 0, schema.MarkWrong, "a < b"), Of(out, row, 1, schema.MarkRight, "")}
	if err := Append(dir, both...); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	if want := `"id":"a","style":"cot","mark":"wrong","comment":"a < b","stage":"graded.correct","output":"sha256-1","text":"`; !strings.Contains(string(b), want) {
		t.Errorf("%s does not hold %s", b, want)
	}
	// An editor cuts the newline at the end.
	if err := os.WriteFile(Path(dir), b[:len(b)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Append(dir, Of(out, row, 0, schema.MarkInteresting, ""), Of(out, row, 1, "", ""), Of(out, row, -1, schema.MarkRight, "")); err != nil {
		t.Fatal(err)
	}
	list, err := Read(dir)
	if err != nil || len(list) != 2 || list[Key(row, 0)].Mark != schema.MarkInteresting || list[Key(row, -1)].Mark != schema.MarkRight {
		t.Errorf("%+v, %v", list, err)
	}
	// Another answer in the same place is another record.
	row.Paths[0].Response = "6"
	if _, ok := list[Key(row, 0)]; ok {
		t.Error("a note is taken for one on another response")
	}
}

func TestWrongNotes(t *testing.T) {
	dir := emptyStore(t)
	for want, n := range map[string]schema.Note{
		`mark "good": want right`: {ID: "a", Mark: "good"},
		"needs the id":            {Mark: schema.MarkRight},
		"replicate -1":            {ID: "a", Mark: schema.MarkRight, Replicate: -1},
		"longer than 64.0 KiB":    {ID: "a", Mark: schema.MarkRight, Comment: strings.Repeat("x", maxLine)},
	} {
		if err := Append(dir, schema.Note{ID: "ok", Mark: schema.MarkRight}, n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := os.Stat(Path(dir)); err == nil {
		t.Error("some of a list with a wrong note was written")
	}
	if err := os.WriteFile(Path(dir), []byte("{broken\n\n{\"id\":\"a\",\"mark\":\"right\"}\n{\"id\":\"b\",\"mark\":\"?\"}\n[1]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := Read(dir)
	if len(list) != 1 || err == nil || !strings.Contains(err.Error(), ":1: not a note") || !strings.Contains(err.Error(), `:4: mark "?"`) || !strings.Contains(err.Error(), ":5: ") {
		t.Errorf("%v, %v", list, err)
	}
	if err := Append(filepath.Join(dir, "nothing"), schema.Note{ID: "a", Mark: schema.MarkRight}); err == nil {
		t.Error("notes of a store that is not there")
	}
}

func TestTwoProcesses(t *testing.T) {
	dir := emptyStore(t)
	var children []*exec.Cmd
	for range 2 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childEnv+"="+dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, c)
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if list, err := Read(dir); err != nil || len(list) != 400 {
		t.Errorf("%d notes, %v", len(list), err)
	}
}

// A line without end hides no other note, and a link is not written through: it may have come
// with somebody's recipe.
func TestStrangeFiles(t *testing.T) {
	dir := emptyStore(t)
	good := `{"id":"ID","mark":"right"}` + "\n"
	text := strings.Replace(good, "ID", "a", 1) + strings.Repeat("x", 2*maxRead) + "\n" + strings.Replace(good, "ID", "b", 1)
	if err := os.WriteFile(Path(dir), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := Read(dir); len(list) != 2 || err == nil || !strings.Contains(err.Error(), ":2: too long for a note") {
		t.Errorf("%v, %v", list, err)
	}
	mine := filepath.Join(t.TempDir(), "mine")
	if err := errors.Join(os.Remove(Path(dir)), os.WriteFile(mine, nil, 0o600), os.Symlink(mine, Path(dir))); err != nil {
		t.Fatal(err)
	}
	if err := Append(dir, schema.Note{ID: "a", Mark: schema.MarkRight}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if b, err := os.ReadFile(mine); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	if err := errors.Join(os.Remove(Path(dir)), os.Symlink(os.DevNull, Path(dir))); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
}
