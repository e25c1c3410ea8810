package planview

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the indentation: what lies deeper goes on at the left.
const maxDepth = 24

// treeLine is one line of the tree.
type treeLine struct {
	lead  string // branches
	stage int
	note  string // set where the stage itself stands elsewhere
}

// Tree draws the graph for a terminal: every stage below the first one it reads
// from. Where it reads from others too, they only point at it.
func Tree(w io.Writer, stages []Stage) error {
	t := treeBuilder{stages: stages, children: make([][]int, len(stages)), home: make([]int, len(stages))}
	for i, s := range stages {
		t.home[i] = -1
		for n, p := range s.parents() {
			t.children[p] = append(t.children[p], i)
			if n == 0 {
				t.home[i] = p
			}
		}
	}
	for i := range stages {
		if t.home[i] < 0 {
			t.roots = append(t.roots, i)
		}
	}
	// What is too deep becomes a root of its own while the roots are drawn.
	for i := 0; i < len(t.roots); i++ {
		t.lines = append(t.lines, treeLine{stage: t.roots[i]})
		t.below(t.roots[i], "", 1)
	}
	return t.write(w)
}

type treeBuilder struct {
	stages   []Stage
	children [][]int
	home     []int // the stage that one is drawn below, -1 for none
	roots    []int
	lines    []treeLine
}

func (t *treeBuilder) below(i int, lead string, depth int) {
	for n, c := range t.children[i] {
		branch, next := "├─ ", "│  "
		if n == len(t.children[i])-1 {
			branch, next = "└─ ", "   "
		}
		line := treeLine{lead: lead + branch, stage: c}
		switch {
		case t.home[c] != i:
			line.note = "(under " + t.stages[t.home[c]].Name + ")"
		case depth >= maxDepth && len(t.children[c]) > 0:
			line.note = "(goes on at the left)"
			t.roots = append(t.roots, c)
		}
		t.lines = append(t.lines, line)
		if line.note == "" {
			t.below(c, lead+next, depth+1)
		}
	}
}

func (t *treeBuilder) write(w io.Writer) error {
	width, uses := 0, 0
	for _, l := range t.lines {
		if l.note == "" {
			width = max(width, utf8.RuneCountInString(l.lead+t.stages[l.stage].Name))
			uses = max(uses, utf8.RuneCountInString(t.stages[l.stage].Uses))
		}
	}
	b := bufio.NewWriter(w)
	for _, l := range t.lines {
		s := t.stages[l.stage]
		if l.note != "" {
			fmt.Fprintf(b, "      %s%s %s\n", l.lead, s.Name, l.note)
			continue
		}
		line := fmt.Sprintf("%-4s  %s  %s  %s", s.Status, pad(l.lead+s.Name, width), pad(s.Uses, uses), s.told())
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
	fmt.Fprintf(b, "\n%s\n", summary(t.stages))
	return b.Flush()
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}
