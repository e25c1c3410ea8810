package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every line of the threat model has its test, and every test that it names exists.
func TestSecurityNamesTests(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(b, -1) {
			functions[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, threats, _ := strings.Cut(string(text), "\n## Threats\n")
	threats, _, _ = strings.Cut(threats, "\n## ")
	named := regexp.MustCompile("`(Test[\\w]+)(?:/([\\w-]+))?`$")
	n := 0
	for line := range strings.Lines(threats) {
		if !strings.HasPrefix(line, "- ") {
			continue
		}
		n++
		m := named.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Errorf("SECURITY.md: this line ends in no test: %s", line)
			continue
		}
		if !functions[m[1]] {
			t.Errorf("SECURITY.md names %s, which there is not", m[1])
		}
		if script := "../../cmd/distillflow/testdata/script/" + m[2] + ".txtar"; m[2] != "" {
			if _, err := os.Stat(script); err != nil {
				t.Error(err)
			}
		}
	}
	if n < 20 {
		t.Errorf("SECURITY.md has %d threats", n)
	}
}
