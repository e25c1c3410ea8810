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
	if missingWords[a] && missingWords[b] {
		return equal("no value")
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
	"no real solutions": true, "empty set": true, "none": true, "no solution exists": true, "no solutions exist": true,
	"there is no solution": true, "there are no solutions": true, "there is no real solution": true,
	"there are no real solutions": true, "no such number": true, "no integer solution": true, "no integer solutions": true}

// missingWords say that a value does not exist.
var missingWords = map[string]bool{"does not exist": true, "undefined": true, "dne": true, "doesn't exist": true,
	"not defined": true, "limit does not exist": true, "it does not exist": true}

// allReals name the set of all real numbers.
var allReals = map[string]bool{"all real numbers": true, "all reals": true, "any real number": true, "all real": true,
	"every real number": true, "the real numbers": true, "real numbers": true, "the set of all real numbers": true,
	"the set of real numbers": true, "all real values": true, "the reals": true}

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
	first := strings.ToLower(words[0])
	if len(words) == 1 && (first == "half" || scaleWords[first] != 0) ||
		len(words) > 2 && first == "half" && (words[1] == "a" || words[1] == "an") ||
		len(words) == 2 && first == "a" && fractionWords[words[1]] != 0 ||
		len(words) >= 2 && first == "a" && scaleWords[words[1]] != 0 {
		return nil
	}
	if allReals[strings.ToLower(strings.Join(words, " "))] {
		return &Node{Kind: KSym, Name: "Reals"}
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

// notStating are words in a text before a number after which the number is not what
// the text states.
var notStating = map[string]bool{"not": true, "no": true, "never": true, "least": true, "most": true, "more": true,
	"less": true, "than": true, "over": true, "under": true, "above": true, "below": true, "between": true, "minus": true,
	"negative": true, "half": true, "twice": true, "double": true, "except": true, "without": true, "or": true, "if": true,
	"unless": true, "up": true, "to": true, "from": true, "option": true, "step": true, "case": true, "cannot": true, "neither": true}

// statedAfterText returns what follows a \text at the start of an answer with one
// number, \text{She makes } 18 \text{ dollars}; nil for other answers.
func statedAfterText(toks []token) []token {
	if len(toks) < 2 || toks[0].kind != tText || toks[1].kind != tNum && (toks[1].kind != tOp || toks[1].text != "\\$") {
		return nil
	}
	numbers := 0
	for _, t := range toks {
		if t.kind == tNum {
			numbers++
		}
	}
	for _, w := range strings.Fields(strings.ToLower(toks[0].text)) {
		if notStating[strings.Trim(w, ",.:")] || strings.HasSuffix(w, "n't") {
			return nil
		}
	}
	if numbers != 1 {
		return nil
	}
	return toks[1:]
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
