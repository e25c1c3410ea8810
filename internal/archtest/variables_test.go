package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A variable that nobody can read about is a trapdoor, and one that nothing reads is
// a lie. Those that begin with DISTILLFLOW_TEST_ are between a test and the processes
// that it starts.
func TestEnvironmentVariablesAreDocumented(t *testing.T) {
	var pages []byte
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatal("no pages", err)
	}
	for _, f := range append(docs, "../../README.md", "../../CONTRIBUTING.md") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, b...)
	}
	told := regexp.MustCompile(`DISTILLFLOW_[A-Z_]{2,}`).FindAllString(string(pages), -1)
	literal := regexp.MustCompile(`"DISTILLFLOW_[A-Z_]{2,}"`)
	read := map[string]bool{}
	_, files := load(t)
	for _, f := range files {
		for _, s := range literal.FindAllString(string(f.text), -1) {
			v := strings.Trim(s, `"`)
			if read[v] = true; !slices.Contains(told, v) && v != "DISTILLFLOW_" && !strings.HasPrefix(v, "DISTILLFLOW_TEST_") {
				t.Errorf("%s/%s: say in CONTRIBUTING.md or docs what %s does", f.pkg, f.name, v)
			}
		}
	}
	for _, v := range told {
		if !read[v] && v != "DISTILLFLOW_TEST_" {
			t.Errorf("the documentation names %s, which no code reads", v)
		}
	}
}
