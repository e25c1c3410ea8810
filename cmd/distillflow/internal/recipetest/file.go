// Package recipetest tests recipes without a network. It reads the tests that lie beside
// a recipe, runs their cases with recorded answers in the teacher's place, and judges
// the results.
//
// A test file holds cases. A case says how the recipe is loaded (profile, params, seed),
// which recorded answers take the teacher's place, and what it expects of the ports of
// stages:
//
//	cases:
//	  - name: a right answer passes, a wrong one does not
//	    params: {teacher: openai/gpt-4o-mini, data: two.jsonl}
//	    teacher:
//	      - {id: ann, answer: "2 + 3 = 5. The answer is 5."}
//	      - {id: bob, answer: "The answer is 6."}
//	    expect:
//	      graded: {count: 2, fields: [id, paths.pred]}
//	      graded.correct: {count: 1, all: id == "ann"}
package recipetest

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/llm/recorded"
)

// Suffix ends the names of test files: gsm8k.test.yaml tests gsm8k.yaml beside it.
const Suffix = ".test.yaml"

// TestFile is the test file of a recipe.
func TestFile(recipe string) string {
	return strings.TrimSuffix(recipe, filepath.Ext(recipe)) + Suffix
}

// RecipeFile is the recipe of a test file.
func RecipeFile(test string) string { return strings.TrimSuffix(test, Suffix) + ".yaml" }

// AnswersFile is where the answers of a recipe's tests are recorded and looked for if
// the test file names no file.
func AnswersFile(test string) string { return strings.TrimSuffix(test, Suffix) + ".answers.jsonl" }

// File is a test file.
type File struct {
	Path    string
	Cases   []*Case
	Sources *diag.Sources
}

// Case is one test.
type Case struct {
	Name    string
	Pos     diag.Pos // of the name, or of the case
	Profile string
	Params  []Param // in the order in which they apply
	Seed    *uint64
	Until   []Name      // stages to run besides those that the checks need
	Teacher []TeacherAt // recorded answers
	Record  string      // file that new answers are recorded in
	Checks  []Check
}

// Name is a name with its place.
type Name struct {
	Text string
	Pos  diag.Pos
}

// Param is a param's value.
type Param struct {
	Name Name
	Text string // as after --set NAME=
	Pos  diag.Pos
}

// TeacherAt is one source of recorded answers: a list in the test file, or a file.
type TeacherAt struct {
	Pos     diag.Pos
	File    string // "" for answers of the test file
	Answers []recorded.Answer
	Places  []diag.Pos // of Answers, for those of the test file
}

// Kind is what a check looks at.
type Kind string

// The kinds of checks, by their key in the test file.
const (
	Count   Kind = "count"
	Fields  Kind = "fields"
	All     Kind = "all"
	Any     Kind = "any"
	None    Kind = "none"
	Digest  Kind = "digest"
	Skipped Kind = "skipped"
)

// Check is one expectation on a port.
type Check struct {
	Kind    Kind
	Port    Name     // stage or stage.port, as written
	Pos     diag.Pos // of the value
	Min     int64    // Count
	Max     int64    // Count; negative for no bound
	Names   []string // Fields
	Expr    string   // All, Any, None
	Digest  string
	Skipped bool
}

// String is the check as test files write it.
func (c Check) String() string {
	switch c.Kind {
	case Count:
		return "count: " + bounds(c.Min, c.Max)
	case Fields:
		return "fields: [" + strings.Join(c.Names, ", ") + "]"
	case Digest:
		return "digest: " + c.Digest
	case Skipped:
		return fmt.Sprintf("skipped: %t", c.Skipped)
	}
	return fmt.Sprintf("%s: %s", c.Kind, strings.Join(strings.Fields(c.Expr), " "))
}

func bounds(lo, hi int64) string {
	switch {
	case lo == hi:
		return fmt.Sprint(lo)
	case hi < 0:
		return fmt.Sprintf("{min: %d}", lo)
	case lo == 0:
		return fmt.Sprintf("{max: %d}", hi)
	}
	return fmt.Sprintf("{min: %d, max: %d}", lo, hi)
}

// Read reads a test file. All mistakes are in the list; the file is never nil, and its
// Sources serve to render them.
func Read(path string) (*File, diag.List) {
	f := &File{Path: path, Sources: &diag.Sources{}}
	src, err := paths.ReadFile(path, 16<<20)
	if err != nil {
		var list diag.List
		list.Errorf(diag.Pos{File: path}, "read", "cannot read the tests: %v", err)
		return f, list
	}
	return f, f.parse(src)
}
