package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is the text of a page of the documentation.
type page string

// readPage reads a page of docs.
func readPage(t *testing.T, name string) page {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return page(b)
}

// block gives the page's first code block of a language.
func (p page) block(t *testing.T, language string) string {
	t.Helper()
	for _, b := range codeBlock.FindAllStringSubmatch(string(p), -1) {
		if b[2] == language {
			return b[3]
		}
	}
	t.Fatalf("the page has no block of %s", language)
	return ""
}

// codeBlock is a block with its language and text, and the file that the line before it
// names at its end.
var codeBlock = regexp.MustCompile("(?sm)(?:`([^`\n]+)`:\n\n)?^```(\\w*)\n(.*?)^```$")

// run does in the working directory what the page says: it writes the blocks for which a
// file is named, runs the commands of the console blocks and compares what they print.
func (p page) run(t *testing.T) {
	t.Helper()
	env := append(os.Environ(), "DISTILLFLOW_STORE=", "OPENAI_BASE_URL=", "DISTILLFLOW_MEMO="+filepath.Join(t.TempDir(), "memo"))
	for _, b := range codeBlock.FindAllStringSubmatch(string(p), -1) {
		if file := b[1]; file != "" {
			if err := os.WriteFile(file, []byte(b[3]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b[2] != "console" {
			continue
		}
		for _, c := range strings.Split("\n"+b[3], "\n$ ")[1:] {
			command, want := cutCommand(c)
			cmd := exec.Command("sh", "-c", command)
			cmd.Env = env
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, stderr.Bytes())
			}
			if !samePrint(want, string(got)) {
				t.Errorf("%s prints\n%s\nand not, as the page says,\n%s", command, got, want)
			}
		}
	}
}

// cutCommand divides what follows a prompt into the command and what it prints. A command
// goes on to the next line while a quote is open.
func cutCommand(text string) (command, want string) {
	quoted := false
	for i, c := range text {
		switch {
		case c == '\'':
			quoted = !quoted
		case c == '\n' && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

var number = regexp.MustCompile(`\d[\w.]*(-[\w.]+)*`)

// samePrint compares what a page shows with what a command printed. "..." stands for any
// text, and on a line of its own for any lines. Figures, which hold times and what training
// gave on one platform, and blanks, which line them up, may differ.
func samePrint(want, got string) bool {
	var re strings.Builder
	re.WriteString("^")
	for line := range strings.Lines(want) {
		line = strings.Join(strings.Fields(line), " ")
		switch line {
		case "":
		case "...":
			re.WriteString(`(?:.*\n)*?`)
		default:
			line = number.ReplaceAllString(line, "\x00")
			line = regexp.QuoteMeta(strings.ReplaceAll(line, "...", "\x01"))
			re.WriteString(strings.NewReplacer("\x00", number.String(), "\x01", ".*").Replace(line) + "\n")
		}
	}
	var lines strings.Builder
	for line := range strings.Lines(got) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines.WriteString(line + "\n")
		}
	}
	return regexp.MustCompile(re.String() + "$").MatchString(lines.String())
}

func TestSamePrint(t *testing.T) {
	for _, c := range []struct {
		name, want, got string
		same            bool
	}{
		{"equal", "a b\n", "a b\n", true},
		{"figures and blanks", "a  7.5 % (run 20261129-1a)\n\n", "a 12.25 %  (run 7)\n", true},
		{"another word", "a b\n", "a c\n", false},
		{"a line more", "a\n", "a\nb\n", false},
		{"a line less", "a\nb\n", "a\n", false},
		{"lines left out", "a\n...\nd\n", "a\nb\nc\nd\n", true},
		{"lines left out, the last one wrong", "a\n...\nd\n", "a\nb\nc\n", false},
		{"a line cut", "{a...}\n", "{a, b}\n", true},
		{"no figure", "a 7\n", "a b\n", false},
	} {
		if same := samePrint(c.want, c.got); same != c.same {
			t.Errorf("%s: %v", c.name, same)
		}
	}
}

// The index lists every page, and links within the repository lead somewhere.
func TestPages(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	index := readPage(t, "README.md")
	for _, p := range pages {
		if name := filepath.Base(p); name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
	for _, p := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "ARCHITECTURE.md")) {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
			file, anchor := p, m[2]
			if m[1] != "" {
				file = filepath.Join(filepath.Dir(p), m[1])
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: ](%s) leads nowhere: %v", p, m[1]+anchor, err)
				continue
			}
			if anchor == "" {
				continue
			}
			target, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(string(target), -1) {
				found = found || "#"+slug(h[1]) == anchor
			}
			if !found {
				t.Errorf("%s: ](%s): no such heading", p, m[1]+anchor)
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]*)?\)`) // within the repository: no scheme
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile(`[^\pL\pN _-]`)
)

// slug is the anchor that GitHub gives a heading.
func slug(h string) string {
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h), ""), " ", "-")
}
