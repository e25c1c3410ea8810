package stagedoc

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
)

// Markdown writes the reference of all stage types as one page.
func Markdown(w io.Writer, reg *stage.Registry) error {
	var b strings.Builder
	b.WriteString(`# Stages

<!-- Written by go generate ./cmd/distillflow from the stage types: change these instead. -->

What each stage type reads, makes and can be told. ` + "`distillflow stages TYPE`" + ` shows the same of
one. ` + "`from`" + ` means the first output, and the first input, where it names no other. Fields marked \* are
not part of the cache key; the content of the files that a stage reads is. Those that work row by
row can have [shards](recipe-language.md#shards).

| type | |
|---|---|
`)
	for _, name := range reg.Names() {
		t, _ := reg.Lookup(name)
		fmt.Fprintf(&b, "| [%s](#%[1]s) | %s |\n", name, cell(Summary(t.Doc)))
	}
	for _, name := range reg.Names() {
		t, _ := reg.Lookup(name)
		fmt.Fprintf(&b, "\n## %s\n\nVersion %d, %s.\n\n%s", name, t.Version, nature(t), prose(t.Doc))
		markdownPorts(&b, "input", t.Inputs)
		markdownPorts(&b, "output", t.Outputs)
		if len(t.Config.Fields) > 0 {
			b.WriteString("\n| field | type | default | |\n|---|---|---|---|\n")
			markdownFields(&b, t.Config, "")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownPorts(b *strings.Builder, title string, ports []stage.Port) {
	if len(ports) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| %s | type | |\n|---|---|---|\n", title)
	for _, p := range ports {
		typ := p.TypeName()
		if p.Optional {
			typ += ", optional"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", p.Name, typ, cell(p.Doc))
	}
}

// markdownFields writes a line for each field; those of objects have the names of what they
// are in before them.
func markdownFields(b *strings.Builder, s *stage.Schema, in string) {
	for _, f := range s.Fields {
		name := in + f.Name
		typ := strings.Join(append([]string{f.Schema.TypeName()}, limits(f)...), "; ")
		def := ""
		switch {
		case f.Required:
			def = "required"
		case f.HasDef && f.Default != "":
			def = "`" + strings.ReplaceAll(f.Default, "|", `\|`) + "`"
		}
		mark := ""
		if !f.Semantic {
			mark = " \\*"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | %s | %s |\n", name, mark, cell(typ), def, cell(f.Doc))
		for e := f.Schema; e != nil; e = e.Elem {
			if e.Kind == stage.KindStruct {
				markdownFields(b, e, name+".")
			}
		}
	}
}

// prose gives a documentation text as Markdown: what it lays out by an indent is code.
func prose(doc string) string {
	var b strings.Builder
	code := false
	for _, line := range strings.Split(strings.TrimSpace(doc), "\n") {
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		if indented != code {
			b.WriteString("```\n")
			code = indented
		}
		if !code {
			line = escape(line)
		}
		b.WriteString(line + "\n")
	}
	if code {
		b.WriteString("```\n")
	}
	return b.String()
}

// cell gives a text as one cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(escape(strings.Join(strings.Fields(text), " ")), "|", `\|`)
}

// escape lets Markdown show a text as it stands.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\\`, "*", `\*`, "`", "\\`", "[", `\[`, "<", "&lt;", "&", "&amp;", "$", `\$`).Replace(text)
	return emphasis.ReplaceAllString(text, `$1\_`)
}

// emphasis is an underscore that could begin emphasis: in the middle of a word none does.
var emphasis = regexp.MustCompile(`(^|[^\pL\pN_])_`)
