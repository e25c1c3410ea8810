package mathverify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokKind uint8

const (
	tEOF  tokKind = iota
	tNum          // text: the literal without separators
	tWord         // a run of letters, or the name of a symbol or function
	tText         // \text{...}: words
	tCmd          // a structural command: frac, sqrt, begin, ...
	tOp           // punctuation, possibly of several characters
	tRel          // a relation in normal form: = < > <= >= != in ~
)

type token struct {
	kind  tokKind
	text  string
	space bool // white space (or \, \; \quad) comes before it
	tight bool // a number with a unit glued to it, or a word glued to a number
}

// maxInput bounds the length of an answer in bytes and maxTokens its length in
// tokens; longer input is not an answer.
const (
	maxInput  = 1 << 14
	maxTokens = 1 << 12
)

type lexer struct {
	s     string
	i     int
	toks  []token
	depth int  // open brackets, where a comma separates instead of grouping digits
	env   int  // open environments
	tex   bool // the input uses LaTeX commands
	money bool // a dollar sign before a digit is currency: it has no partner
	space bool
}

// lex splits s into tokens. It never fails: what it does not know becomes an
// operator token that the parser rejects.
func lex(s string) ([]token, bool) {
	l := &lexer{s: s, toks: make([]token, 0, 8+len(s)/2)}
	l.tex = strings.IndexByte(s, '\\') >= 0
	l.money = (strings.Count(s, "$")-strings.Count(s, "\\$"))%2 == 1
	for l.i < len(l.s) {
		l.next()
	}
	return l.toks, l.tex
}

func (l *lexer) emit(k tokKind, text string) {
	l.toks = append(l.toks, token{kind: k, text: text, space: l.space})
	l.space = false
}

func (l *lexer) op(text string) {
	switch text {
	case "(", "[", "{", "\\{", "<<":
		l.depth++
	case ")", "]", "}", "\\}", ">>":
		l.depth--
	}
	l.emit(tOp, text)
}

func (l *lexer) next() {
	c := l.s[l.i]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '~' || c == '\f' || c == '\v':
		l.i++
		l.space = true
	case c >= '0' && c <= '9', c == '.' && l.digitAt(l.i+1):
		l.number()
	case c == '\\':
		l.command()
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		l.word()
	case c < utf8.RuneSelf:
		l.ascii(c)
	default:
		l.unicode()
	}
}

func (l *lexer) at(i int) byte {
	if i < len(l.s) {
		return l.s[i]
	}
	return 0
}

func (l *lexer) digitAt(i int) bool { c := l.at(i); return c >= '0' && c <= '9' }

func (l *lexer) digits(i int) int {
	n := 0
	for l.digitAt(i + n) {
		n++
	}
	return n
}

func (l *lexer) has(i int, p string) bool {
	return i <= len(l.s) && strings.HasPrefix(l.s[i:], p)
}

// sepAt returns the length of a thousands separator at i: a comma (outside
// brackets), {,} or a comma with thin spaces (anywhere), or a thin space.
func (l *lexer) sepAt(i int) int {
	switch {
	case l.has(i, "{,}"):
		return 3
	case l.has(i, `,\!`):
		n := 3
		for l.at(i+n) == ' ' {
			n++
		}
		return n
	case l.has(i, `\,`):
		return 2
	case l.at(i) == ',' && l.depth <= 0:
		return 1
	case (l.at(i) == ' ' || l.at(i) == '~') && l.depth <= 0:
		return 1
	case l.at(i) == '\'':
		return 1
	}
	return 0
}

// lakhs returns the length of a number grouped as in India, 12,34,567, at the
// cursor; 0 for other numbers.
func (l *lexer) lakhs() int {
	n, groups := l.digits(l.i), 0
	if n == 0 || n > 2 || l.depth > 0 || l.at(l.i) == '0' {
		return 0
	}
	for l.at(l.i+n) == ',' && l.digits(l.i+n+1) == 2 {
		n += 3
		groups++
	}
	if groups == 0 || l.at(l.i+n) != ',' || l.digits(l.i+n+1) != 3 || l.at(l.i+n+4) == ',' {
		return 0
	}
	return n + 4
}

// dotGroups returns the length of a number such as 1.234.567 at the cursor, with
// two or more points; 0 for other numbers.
func (l *lexer) dotGroups() int {
	n := l.digits(l.i)
	if n == 0 || n > 3 || l.at(l.i) == '0' {
		return 0
	}
	groups := 0
	for l.at(l.i+n) == '.' && l.digits(l.i+n+1) == 3 {
		n += 4
		groups++
	}
	if groups < 2 {
		return 0
	}
	return n
}

// repeat reads the repeating digits of a decimal fraction at the cursor: a bar or
// dots above them, or brackets around them. It moves past them.
func (l *lexer) repeat(first bool) string {
	i := l.i
	for _, open := range []string{`\overline{`, `\bar{`, `\dot{`, `\overline `, `\bar `, `\dot `} {
		if !l.has(i, open) {
			continue
		}
		i += len(open)
		n := l.digits(i)
		if open[len(open)-1] == ' ' && n > 0 { // \bar 3 takes one digit
			l.i = i + 1
			return l.s[i : i+1]
		}
		if n > 0 && l.at(i+n) == '}' {
			l.i = i + n + 1
			return l.s[i : i+n]
		}
		return ""
	}
	// 0.(3); 0.1(6) only as a whole answer, because 0.1(6) may be a product.
	if n := l.digits(i + 1); l.at(i) == '(' && n > 0 && l.at(i+1+n) == ')' && (first || l.i+n+2 == len(l.s)) {
		l.i = i + n + 2
		return l.s[i+1 : i+1+n]
	}
	return ""
}

// endless reads the dots after a decimal fraction that goes on, 0.1666..., and
// returns the digits that repeat: the shortest run that stands twice at the end.
func (l *lexer) endless(frac string) string {
	n := 0
	switch {
	case l.has(l.i, "..."):
		n = 3
		for l.at(l.i+n) == '.' {
			n++
		}
	case l.has(l.i, "…"):
		n = len("…")
	case l.has(l.i, `\ldots`):
		n = len(`\ldots`)
	case l.has(l.i, `\dots`) && !isLetter(l.at(l.i+5)):
		n = len(`\dots`)
	default:
		return ""
	}
	l.i += n
	for k := 1; 2*k <= len(frac); k++ {
		if frac[len(frac)-k:] == frac[len(frac)-2*k:len(frac)-k] {
			return frac[len(frac)-k:]
		}
	}
	return ""
}

func (l *lexer) number() {
	start := l.i
	if n := max(l.dotGroups(), l.lakhs()); n > 0 {
		l.emit(tNum, strings.NewReplacer(".", "", ",", "").Replace(l.s[l.i:l.i+n]))
		l.i += n
		return
	}
	n := l.digits(l.i)
	buf := l.s[l.i : l.i+n]
	l.i += n
	if n > 0 && n <= 3 && buf[0] != '0' {
		for {
			k := l.sepAt(l.i)
			if k == 0 || l.digits(l.i+k) != 3 {
				break
			}
			buf += l.s[l.i+k : l.i+k+3]
			l.i += k + 3
		}
	}
	if l.at(l.i) == '.' && l.digitAt(l.i+1) {
		n = l.digits(l.i + 1)
		frac := l.s[l.i+1 : l.i+1+n]
		buf += "." + frac
		l.i += 1 + n
		if rep := l.repeat(false); rep != "" {
			buf += "~" + rep
		} else if rep := l.endless(frac); rep != "" {
			buf += "~" + rep + "~"
		}
	} else if l.at(l.i) == '.' && (l.at(l.i+1) == '\\' || l.at(l.i+1) == '(') {
		l.i++
		if rep := l.repeat(true); rep != "" {
			buf += ".~" + rep
		}
	} else if l.at(l.i) == '.' && l.i > start && l.at(l.i+1) != '.' && !isLetter(l.at(l.i+1)) {
		l.i++ // the point that ends a sentence, or "5."
	}
	if c := l.at(l.i); c == 'e' || c == 'E' {
		j := l.i + 1
		if l.at(j) == '+' || l.at(j) == '-' {
			j++
		}
		if n = l.digits(j); n > 0 && !isLetter(l.at(j+n)) {
			buf += "e" + l.s[l.i+1:j+n]
			l.i = j + n
		}
	}
	l.emit(tNum, buf)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (l *lexer) word() {
	j := l.i
	for isLetter(l.at(j)) {
		j++
	}
	w := l.s[l.i:j]
	// P.M., a.m.
	if (w == "P" || w == "p" || w == "A" || w == "a") && l.at(j) == '.' &&
		(l.at(j+1) == 'M' || l.at(j+1) == 'm') && !isLetter(l.at(j+2)) {
		w = strings.ToLower(w) + "m"
		j += 2
		if l.at(j) == '.' {
			j++
		}
	}
	tight := l.i > 0 && l.digitAt(l.i-1)
	l.i = j
	l.emit(tWord, w)
	l.toks[len(l.toks)-1].tight = tight
	// x1 means x_1 in plain text.
	if len(w) == 1 && !tight && !l.tex && l.digitAt(j) {
		n := l.digits(j)
		if !l.has(j+n, ".") {
			l.emit(tOp, "_")
			l.emit(tNum, l.s[j:j+n])
			l.i += n
		}
	}
}

func (l *lexer) ascii(c byte) {
	two := ""
	if l.i+1 < len(l.s) {
		two = l.s[l.i : l.i+2]
	}
	switch two {
	case "<=", "=<":
		l.i += 2
		l.emit(tRel, "<=")
		return
	case ">=":
		l.i += 2
		l.emit(tRel, ">=")
		return
	case "!=":
		l.i += 2
		l.emit(tRel, "!=")
		return
	case "==", ":=":
		l.i += 2
		l.emit(tRel, "=")
		return
	case "=>", "->":
		l.i += 2
		l.emit(tOp, "->")
		return
	case "**":
		l.i += 2
		l.op("^")
		return
	case "+-":
		l.i += 2
		l.op("pm")
		return
	case "..":
		for l.at(l.i) == '.' {
			l.i++
		}
		l.emit(tOp, "...")
		return
	}
	l.i++
	switch c {
	case '$':
		if l.money && (l.digitAt(l.i) || (l.at(l.i) == '-' || l.at(l.i) == '.') && l.digitAt(l.i+1)) {
			l.op("\\$")
			return
		}
		l.space = true
	case '`', '"':
		l.space = true
	case '=', '<', '>':
		l.emit(tRel, string(c))
	case '.':
		if strings.TrimLeft(l.s[l.i:], " \n\t$)]}.*") != "" {
			l.emit(tOp, ".")
		}
	default:
		l.op(string(c))
	}
}

func (l *lexer) unicode() {
	r, n := utf8.DecodeRuneInString(l.s[l.i:])
	l.i += n
	switch r {
	case '≤', '⩽', '≦':
		l.emit(tRel, "<=")
	case '≥', '⩾', '≧':
		l.emit(tRel, ">=")
	case '≠':
		l.emit(tRel, "!=")
	case '∈':
		l.emit(tRel, "in")
	case '≈', '≃', '≅':
		l.emit(tRel, "~")
	case '−', '–', '—':
		l.op("-")
	case '×', '·', '⋅', '∙':
		l.op("*")
	case '÷', '∕':
		l.op("/")
	case '±':
		l.op("pm")
	case '∓':
		l.op("mp")
	case '∪':
		l.op("cup")
	case '∩':
		l.op("cap")
	case '∖':
		l.op("setminus")
	case '√':
		l.emit(tCmd, "sqrt")
	case '∞':
		l.emit(tWord, "infty")
	case '°', 'º':
		l.op("deg")
	case '²', '³', '⁴', '¹', '⁰', '⁵', '⁶', '⁷', '⁸', '⁹':
		l.superscript(r)
	case '₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉':
		l.op("_")
		l.emit(tNum, string('0'+r-'₀'))
	case '∛':
		l.emit(tWord, "cbrt")
	case '½':
		l.fraction("1", "2")
	case '¼':
		l.fraction("1", "4")
	case '¾':
		l.fraction("3", "4")
	case '⅓':
		l.fraction("1", "3")
	case '⅔':
		l.fraction("2", "3")
	case '∅':
		l.emit(tWord, "emptyset")
	case '…':
		l.emit(tOp, "...")
	case '→', '⇒', '⟹':
		l.emit(tOp, "->")
	case '′':
		l.op("'")
	case '€', '£', '¥', '₹':
		l.op(string(r))
	case '‰':
		l.emit(tText, "per mille")
	case '，', '、':
		l.op(",")
	case '；':
		l.op(";")
	case '“', '”', '„', '«', '»', '。', '\uFEFF', '\u200b', '\u2061':
		l.space = true
	default:
		if name, ok := greek[r]; ok {
			l.emit(tWord, name)
			return
		}
		if unicode.IsSpace(r) {
			l.space = true
			return
		}
		if unicode.IsLetter(r) {
			j := l.i
			for j < len(l.s) {
				r, n := utf8.DecodeRuneInString(l.s[j:])
				if !unicode.IsLetter(r) || greek[r] != "" {
					break
				}
				j += n
			}
			l.emit(tText, l.s[l.i-n:j])
			l.i = j
			return
		}
		l.emit(tOp, string(r))
	}
}

func (l *lexer) superscript(first rune) {
	const sup = "⁰¹²³⁴⁵⁶⁷⁸⁹"
	digits := []byte{}
	r := first
	for {
		k := strings.IndexRune(sup, r)
		if k < 0 {
			break
		}
		digits = append(digits, byte('0'+utf8.RuneCountInString(sup[:k])))
		var n int
		r, n = utf8.DecodeRuneInString(l.s[l.i:])
		if !strings.ContainsRune(sup, r) || n == 0 {
			break
		}
		l.i += n
	}
	l.op("^")
	l.emit(tNum, string(digits))
}

func (l *lexer) fraction(a, b string) {
	l.emit(tCmd, "frac")
	l.emit(tNum, a)
	l.emit(tNum, b)
}

// Commands by what the parser has to do with them. Anything not listed here
// becomes a word token and so a symbol of that name.

var cmdAlias = map[string]string{
	"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "nicefrac": "frac", "sfrac": "frac",
	"dbinom": "binom", "tbinom": "binom", "fbox": "boxed", "ensuremath": "boxed",
}

var cmdStructural = map[string]bool{
	"frac": true, "sqrt": true, "binom": true, "boxed": true, "begin": true, "end": true,
	"overline": true, "bar": true, "vec": true, "hat": true, "widehat": true, "overrightarrow": true,
	"underline": true, "mathbb": true, "mathcal": true, "sum": true, "prod": true, "int": true, "lim": true,
	"choose": true, "pmod": true, "bmod": true, "mod": true, "dot": true, "tilde": true, "mathfrak": true,
	"overbrace": true, "underbrace": true, "overset": true, "underset": true, "stackrel": true, "over": true,
}

var cmdOp = map[string]string{
	"cdot": "*", "times": "*", "ast": "*", "star": "*", "bullet": "*", "div": "/", "pm": "pm", "mp": "mp",
	"cup": "cup", "bigcup": "cup", "cap": "cap", "bigcap": "cap", "setminus": "setminus", "backslash": "setminus",
	"circ": "circ", "degree": "deg", "colon": ":", "lbrace": "\\{", "rbrace": "\\}", "mid": "mid",
	"vert": "|", "lvert": "|", "rvert": "|", "Vert": "||", "lVert": "||", "rVert": "||",
	"lfloor": "lfloor", "rfloor": "rfloor", "lceil": "lceil", "rceil": "rceil", "langle": "<<", "rangle": ">>",
	"ldots": "...", "dots": "...", "cdots": "...", "dotsc": "...", "dotsb": "...", "dotsm": "...", "vdots": "...",
	"to": "->", "rightarrow": "->", "Rightarrow": "->", "implies": "->", "longrightarrow": "->", "mapsto": "->",
	"iff": "->", "Leftrightarrow": "->", "prime": "'", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")",
	"land": "and", "wedge": "and", "lor": "or", "vee": "or",
}

var cmdRel = map[string]string{
	"le": "<=", "leq": "<=", "leqslant": "<=", "leqq": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=",
	"ne": "!=", "neq": "!=", "lt": "<", "gt": ">", "in": "in", "isin": "in", "notin": "notin",
	"approx": "~", "simeq": "~", "cong": "cong", "equiv": "equiv", "sim": "sim", "propto": "propto",
	"subset": "subset", "subseteq": "subseteq", "ll": "<", "gg": ">", "perp": "perp", "parallel": "parallel",
}

// cmdSkip are commands without meaning for the value; those with true take
// one braced argument that is dropped too.
var cmdSkip = map[string]bool{
	"left": false, "right": false, "big": false, "Big": false, "bigg": false, "Bigg": false, "bigl": false,
	"bigr": false, "Bigl": false, "Bigr": false, "biggl": false, "biggr": false, "Biggl": false, "Biggr": false,
	"displaystyle": false, "textstyle": false, "limits": false, "nolimits": false, "quad": false, "qquad": false,
	"hspace": true, "vspace": true, "phantom": true, "hphantom": true, "label": true, "tag": true, "color": true,
	"rm": false, "bf": false, "it": false, "boldsymbol": false, "bm": false, "space": false, "nonumber": false,
	"hfill": false, "scriptstyle": false, "middle": false, "angle": false, "triangle": false, "therefore": false,
	"because": false, "mathop": false, "mathbin": false, "mathrel": false, "null": false, "noindent": false,
	"forall": false, "par": false, "newline": false, "smallskip": false, "medskip": false, "bigskip": false,
}

var cmdText = map[string]bool{
	"text": true, "textbf": true, "textit": true, "textrm": true, "textnormal": true, "mbox": true, "hbox": true,
	"mathrm": true, "mathbf": true, "mathit": true, "mathsf": true, "mathtt": true, "operatorname": true,
	"textsf": true, "texttt": true, "emph": true, "textup": true, "unit": true,
}

func (l *lexer) command() {
	j := l.i + 1
	if j >= len(l.s) {
		l.i++
		return
	}
	if c := l.s[j]; !isLetter(c) {
		l.escape(c)
		return
	}
	for isLetter(l.at(j)) {
		j++
	}
	name := l.s[l.i+1 : j]
	start := l.i
	l.i = j
	if a, ok := cmdAlias[name]; ok {
		name = a
	}
	if op, ok := cmdOp[name]; ok {
		l.op(op)
		return
	}
	if r, ok := cmdRel[name]; ok {
		l.emit(tRel, r)
		return
	}
	if arg, ok := cmdSkip[name]; ok {
		l.space = l.space || strings.HasSuffix(name, "quad") || name == "space"
		if (name == "left" || name == "right") && l.at(l.i) == '.' {
			l.i++
		}
		if arg {
			l.group()
		}
		return
	}
	if cmdText[name] {
		l.textCmd(name)
		return
	}
	switch name {
	case "num", "SI", "qty", "ang": // of siunitx
		if l.at(l.i) == '{' {
			sub, _ := lex(l.group())
			l.toks = append(l.toks, sub...)
			l.space = true
			switch name {
			case "SI", "qty":
				l.emit(tText, strings.TrimSpace(strings.ReplaceAll(l.group(), "\\", " ")))
			case "ang":
				l.op("deg")
			}
			return
		}
	}
	if cmdStructural[name] {
		l.structural(name)
		return
	}
	if constants[name] != "" || functions[name] != 0 || isGreek[name] {
		l.emit(tWord, name)
		return
	}
	// \quadx and similar run-ons: split after the longest known prefix.
	for k := len(name) - 1; k > 1; k-- {
		if _, skip := cmdSkip[name[:k]]; skip {
			l.i = start + 1 + k
			l.space = true
			return
		}
		if op, ok := cmdOp[name[:k]]; ok && functions[name] == 0 && constants[name] == "" && !isGreek[name] {
			l.i = start + 1 + k
			l.op(op)
			return
		}
		if cmdStructural[name[:k]] {
			l.i = start + 1 + k
			l.structural(name[:k])
			return
		}
		if functions[name[:k]] != 0 && functions[name] == 0 || constants[name[:k]] == "pi" && !isGreek[name] {
			l.i = start + 1 + k
			l.emit(tWord, name[:k])
			return
		}
	}
	l.emit(tWord, name)
}

func (l *lexer) structural(name string) {
	switch name {
	case "begin", "end":
		if name == "begin" {
			l.env++
		} else {
			l.env--
		}
		l.emit(tCmd, name+":"+strings.TrimRight(strings.TrimSpace(l.group()), "*"))
	case "overset", "underset", "stackrel":
		l.group()
	default:
		l.emit(tCmd, name)
	}
}

// escape handles a backslash before something that is not a letter.
func (l *lexer) escape(c byte) {
	l.i += 2
	switch c {
	case '{', '}':
		l.op("\\" + string(c))
	case '%':
		l.op("%")
	case '|':
		l.op("||")
	case ',', ';', ':', ' ', '\n', '\t':
		l.space = true
	case '-':
		if l.env > 0 { // a row end that lost a backslash
			l.i--
			l.emit(tOp, "\\\\")
		}
	case '$':
		j := l.i
		for l.at(j) == ' ' || l.at(j) == '-' {
			j++
		}
		if l.digitAt(j) || l.at(j) == '.' {
			l.emit(tOp, "\\$")
		} else {
			l.space = true
		}
	case '!', '(', ')', '[', ']', '/':
		l.space = l.space || c != '!'
	case '\\':
		// A doubled backslash before a known command is an escaped command;
		// anywhere else it ends a matrix row.
		k := l.i
		for isLetter(l.at(k)) {
			k++
		}
		name := l.s[l.i:k]
		_, skip := cmdSkip[name]
		if name != "" && (cmdAlias[name] != "" || cmdStructural[name] || cmdText[name] || cmdOp[name] != "" ||
			cmdRel[name] != "" || skip) {
			l.i--
			return
		}
		if l.at(l.i) == '[' { // row spacing \\[4pt]
			if k := strings.IndexByte(l.s[l.i:], ']'); k > 0 && k < 8 && strings.ContainsAny(l.s[l.i:l.i+k], "pem") {
				l.i += k + 1
			}
		}
		l.emit(tOp, "\\\\")
	case '#', '&', '_', '\'':
		l.space = true
	default:
		l.i--
		if l.env > 0 && (c >= '0' && c <= '9') { // a row end that lost a backslash
			l.emit(tOp, "\\\\")
		}
	}
}

// group returns the text of the braced group at the cursor and moves past it.
func (l *lexer) group() string {
	for l.at(l.i) == ' ' {
		l.i++
	}
	if l.at(l.i) != '{' {
		return ""
	}
	depth := 0
	for j := l.i; j < len(l.s); j++ {
		switch l.s[j] {
		case '\\':
			j++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				g := l.s[l.i+1 : j]
				l.i = j + 1
				return g
			}
		}
	}
	g := l.s[l.i+1:]
	l.i = len(l.s)
	return g
}

func (l *lexer) textCmd(name string) {
	for l.at(l.i) == ' ' {
		l.i++
	}
	if l.at(l.i) != '{' {
		// \mathrm e, \text B
		if isLetter(l.at(l.i)) {
			l.emit(tWord, l.s[l.i:l.i+1])
			l.i++
		}
		return
	}
	g := l.group()
	t := strings.TrimSpace(g)
	bare := strings.ReplaceAll(t, " ", "")
	switch {
	case t == "":
		l.space = true
	case isWordName(bare):
		l.emit(tWord, strings.TrimPrefix(bare, "\\"))
	case len(t) == 1 && isLetter(t[0]) && name != "text" && name != "mbox":
		l.emit(tWord, t)
	case allDigits(t) || strings.ContainsAny(t, "\\^=") || name[0] != 't' && strings.ContainsAny(t, "0123456789+"):
		// Mathematics inside a text or font command.
		sub, _ := lex(t)
		if l.space && len(sub) > 0 {
			sub[0].space = true
		}
		l.toks = append(l.toks, sub...)
		l.space = false
	default:
		l.words(t)
		if strings.HasSuffix(g, " ") {
			l.space = true
		}
	}
}

// words emits the text of a \text command; "and" or "or" at either end separates
// elements.
func (l *lexer) words(t string) {
	low, tail := strings.ToLower(t), ""
	for _, w := range []string{"and", "or"} {
		switch {
		case strings.HasPrefix(low, w+" "):
			l.emit(tOp, w)
			l.words(strings.TrimSpace(t[len(w)+1:]))
			return
		case strings.HasSuffix(low, " "+w):
			t, tail = strings.TrimRight(t[:len(t)-len(w)], " ,"), w
		}
	}
	if t != "" {
		l.emit(tText, t)
	}
	if tail != "" {
		l.emit(tOp, tail)
	}
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < '0' || s[i] > '9') && s[i] != '.' && s[i] != ',' && s[i] != '-' {
			return false
		}
	}
	return s != ""
}
