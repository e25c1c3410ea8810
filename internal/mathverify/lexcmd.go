package mathverify

import "strings"

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
		l.emit(tText, t)
		if strings.HasSuffix(g, " ") {
			l.space = true
		}
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
