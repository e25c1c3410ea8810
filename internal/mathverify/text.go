package mathverify

import (
	"fmt"
	"strings"
)

// compareText compares words: letter case, spacing and punctuation do not
// count; a single letter keeps its case.
func compareText(g, p *Node) Result {
	a, b := words(g), words(p)
	if emptyWords[a] && p.Kind == KSet && len(p.Args) == 0 || emptyWords[b] && g.Kind == KSet && len(g.Args) == 0 ||
		emptyWords[a] && emptyWords[b] {
		return equal("no solution")
	}
	if a == "" || b == "" {
		return different("words against a mathematical expression")
	}
	if a == b {
		return equal("same words")
	}
	return different("different words: %q and %q", a, b)
}

// emptyWords say that there is no solution.
var emptyWords = map[string]bool{"no solution": true, "no solutions": true, "no real solution": true,
	"no real solutions": true, "empty set": true, "none": true}

func words(n *Node) string {
	switch n.Kind {
	case KText:
		f := strings.FieldsFunc(strings.ToLower(n.Name), func(r rune) bool {
			return r == ' ' || r == '.' || r == ',' || r == '(' || r == ')' || r == '"' || r == '\t' || r == '-'
		})
		for _, article := range []string{"the ", "a ", "an ", "The ", "A ", "An "} {
			if len(f) > 1 && len(f[1]) > 2 && strings.HasPrefix(n.Name, article) {
				f = f[1:]
				break
			}
		}
		return strings.Join(f, " ")
	case KSym, KConst:
		return strings.ToLower(n.Name)
	case KMul:
		var b strings.Builder
		for _, a := range n.Args {
			if a.Kind != KSym && a.Kind != KConst {
				return ""
			}
			fmt.Fprint(&b, strings.ToLower(a.Name))
		}
		return b.String()
	}
	return ""
}

// splitText reads words with commas as a list: \text{B, E, G}.
func splitText(n *Node) *Node {
	if n.Kind != KText || !strings.ContainsAny(n.Name, ",;") && !strings.Contains(n.Name, " and ") && !strings.Contains(n.Name, " or ") {
		return n
	}
	s := strings.NewReplacer(" and ", ",", " or ", ",", ";", ",", "and ", "").Replace(n.Name)
	var args []*Node
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			args = append(args, textNode(w))
		}
	}
	if len(args) < 2 {
		return n
	}
	return node(KList, args...)
}

// wholeText recognises an answer that consists of words only.
func wholeText(toks []token) *Node {
	words := make([]string, 0, len(toks))
	long := false
	for _, t := range toks {
		switch t.kind {
		case tWord:
			if functions[t.text] != 0 || constants[t.text] != "" && len(t.text) > 1 || isGreek[t.text] {
				return nil
			}
			if _, ok := numberWords[strings.ToLower(t.text)]; ok {
				return nil
			}
		case tText:
		case tOp:
			if t.text == "'" || t.text == "-" && len(words) > 0 || t.text == "." {
				continue
			}
			return nil
		default:
			return nil
		}
		if len(t.text) > 2 {
			long = true
		}
		words = append(words, t.text)
	}
	if !long || len(words) == 0 {
		return nil
	}
	if len(words) == 1 {
		if n := textNode(words[0]); n.Kind != KText {
			return n
		}
	}
	if len(toks) == 1 && toks[0].kind == tWord {
		if _, ok := split(toks[0].text, false); ok {
			return nil
		}
	}
	if len(toks) > 1 { // "x and y" is a list
		for _, t := range toks {
			if w := strings.ToLower(t.text); w == "and" || w == "or" {
				return nil
			}
		}
	}
	return &Node{Kind: KText, Name: strings.Join(words, " ")}
}

// proseText is the last reading of input that is not mathematics: its words,
// when it holds any longer than two letters and no operators of mathematics.
func proseText(s string, toks []token) *Node {
	letters := 0
	for _, t := range toks {
		switch t.kind {
		case tWord, tText:
			letters += len(t.text)
		case tCmd:
			return nil
		case tOp:
			switch t.text {
			case "^", "_", "=", "{", "\\{", "pm", "cup":
				return nil
			}
		}
	}
	if letters < 3 {
		return nil
	}
	return &Node{Kind: KText, Name: strings.Trim(strings.Join(strings.Fields(s), " "), "$. ")}
}

func textNode(s string) *Node {
	s = strings.TrimSpace(s)
	if len(s) == 1 && isLetter(s[0]) {
		return wordNode(s)
	}
	if constants[strings.ToLower(s)] == "inf" {
		return wordNode("inf")
	}
	return &Node{Kind: KText, Name: s}
}
