package answer

import (
	"math/big"
	"strconv"
	"strings"
)

// numberAt reads the number that starts at s: sign, currency, digits with
// thousands separators, decimals, a fraction or mixed number, exponent and
// percent sign. It returns its end.
func numberAt(t string, s int) (int, bool) {
	i := s
	if i < len(t) && (t[i] == '-' || t[i] == '+') {
		i++
	}
	for {
		n := currency(t, i)
		if n == 0 {
			break
		}
		i += n
	}
	if i < len(t) && t[i] == '-' && i > s && isDigitAt(t, i+1) { // $-5
		i++
	}
	e := literalEnd(t, i)
	if e == i {
		return 0, false
	}
	switch {
	case e < len(t) && t[e] == '/' && isDigitAt(t, e+1):
		e = digitsEnd(t, e+1)
	case e < len(t) && t[e] == ' ' && isDigitAt(t, e+1):
		if f := digitsEnd(t, e+1); f < len(t) && t[f] == '/' && isDigitAt(t, f+1) { // 1 1/2
			e = digitsEnd(t, f+1)
		}
	case e+1 < len(t) && t[e]|0x20 == 'e' && (isDigitAt(t, e+1) || (t[e+1] == '-' || t[e+1] == '+') && isDigitAt(t, e+2)):
		e = digitsEnd(t, e+2)
	}
	if e < len(t) && t[e] == '%' {
		e++
	} else if strings.HasPrefix(t[e:], "\\%") {
		e += 2
	}
	return e, true
}

// literalEnd returns the end of digits with separators: 1,234.5, 1.234,5,
// 1'234'567, 1 234 567, 12,34,567; i where there is none.
func literalEnd(t string, i int) int {
	e := digitsEnd(t, i)
	if e == i && !(i < len(t) && t[i] == '.' && isDigitAt(t, i+1)) {
		return i
	}
	point := false
	for e < len(t) {
		n := separator(t, e)
		if n == 0 {
			break
		}
		d := digitsEnd(t, e+n) - e - n
		c := t[e]
		if d == 0 || (n > 1 || c != ',' && c != '.') && (d != 3 || point) || point && c == '.' && t[i:e] == "" {
			break
		}
		if (c == ' ' || c == '~') && (digitsEnd(t, i)-i > 3 || e+n+d < len(t) && (t[e+n+d] == '/' || isAlpha(t[e+n+d]))) {
			break
		}
		point = point || c == '.'
		e += n + d
	}
	return e
}

// separator is the length of what may stand between the digits of a number.
func separator(t string, i int) int {
	switch t[i] {
	case ',', '.', '\'', ' ', '~':
		return 1
	}
	for _, s := range []string{"{,}", "\\,", "\\!", "\\ "} {
		if strings.HasPrefix(t[i:], s) {
			return len(s)
		}
	}
	if strings.HasPrefix(t[i:], ",\\!") {
		return 3
	}
	return 0
}

func isDigitAt(t string, i int) bool { return i < len(t) && isDigit(t[i]) }

func digitsEnd(t string, i int) int {
	for i < len(t) && isDigit(t[i]) {
		i++
	}
	return i
}

func currency(t string, i int) int {
	for _, c := range []string{"\\$", "$", "€", "£", "¥", "₹"} {
		if strings.HasPrefix(t[i:], c) {
			return len(c)
		}
	}
	if i < len(t) && t[i] == ' ' && i > 0 && (t[i-1] == '$' || t[i-1] == '-') && isDigitAt(t, i+1) {
		return 1
	}
	return 0
}

// numberStart reports that a number may begin at s: not inside a word or
// after a digit or point.
func numberStart(t string, s int) bool {
	if s == 0 {
		return true
	}
	p := t[s-1]
	return !isAlpha(p) && !isDigit(p) && !(p == '.' && s > 1 && isDigit(t[s-2])) && p != '_'
}

// firstNumber finds the first number in t.
func firstNumber(t string) (s, e int, ok bool) {
	for i := 0; i < len(t); i++ {
		c := t[i]
		if !isDigit(c) && !(c == '.' && isDigitAt(t, i+1)) {
			continue
		}
		if !numberStart(t, i) {
			for i < len(t) && (isDigit(t[i]) || t[i] == '.') {
				i++
			}
			continue
		}
		s = signStart(t, i)
		if e, ok = numberAt(t, s); ok {
			return s, e, true
		}
	}
	return 0, 0, false
}

// signStart moves from the first digit back over currency signs and a minus
// that is a sign, not an operator.
func signStart(t string, i int) int {
	s := i
	for {
		switch {
		case s > 0 && t[s-1] == '$':
			s--
			if s > 0 && t[s-1] == '\\' {
				s--
			}
		case s >= 3 && (strings.HasSuffix(t[:s], "€")):
			s -= len("€")
		case s >= 2 && strings.HasSuffix(t[:s], "£"):
			s -= len("£")
		default:
			goto sign
		}
	}
sign:
	n := 0
	switch {
	case s > 0 && t[s-1] == '-':
		n = 1
	default:
		return s
	}
	k := s - n
	for k > 0 && t[k-1] == ' ' {
		k--
	}
	switch {
	case k == 0:
		return s - n
	case k < s-n: // a space before the minus: an operator only after a value
		if isDigit(t[k-1]) || t[k-1] == ')' || t[k-1] == '.' || t[k-1] == '}' {
			return s
		}
		return s - n
	case !isWordByte(t[k-1]) && t[k-1] != ')' && t[k-1] != '.':
		return s - n
	}
	return s
}

// lastNumber finds the last number in t.
func lastNumber(t string) (s, e int, ok bool) {
	for i := len(t) - 1; i >= 0; i-- {
		if !isDigit(t[i]) {
			continue
		}
		j := i
		for j > 0 && (isDigit(t[j-1]) || (t[j-1] == '.' || t[j-1] == ',' || t[j-1] == '/') && j > 1 && isDigit(t[j-2])) {
			j--
		}
		if j > 0 && t[j-1] == '.' && (j == 1 || !isWordByte(t[j-2])) {
			j--
		}
		for k := j; k <= i; k++ {
			if isDigit(t[k]) || t[k] == '.' {
				if !numberStart(t, k) {
					break
				}
				s = signStart(t, k)
				if e, ok = numberAt(t, s); ok && e > i {
					return s, e, true
				}
				for k < i && isDigit(t[k]) {
					k++
				}
			}
		}
		i = j
	}
	return 0, 0, false
}

// compound extends a number that ends at e over a quantity in several units;
// it returns e where there is none.
func compound(r string, e int) int {
	unit, i := unitWord(r, e)
	end := e
	for unit != "" {
		j := i
		for _, w := range []string{",", " and"} {
			if strings.HasPrefix(r[j:], w) {
				j += len(w)
			}
		}
		for j < len(r) && r[j] == ' ' {
			j++
		}
		k := digitsEnd(r, j)
		if k == j {
			break
		}
		next, after := unitWord(r, k)
		if !smaller(unit, next) {
			break
		}
		unit, i, end = next, after, after
	}
	return end
}

func smaller(unit, next string) bool {
	for _, u := range smallerUnits[unit] {
		if u == next || u == "inch" && next == "inche" {
			return true
		}
	}
	return false
}

// unitWord reads the word after a number, without a plural s, and its end.
func unitWord(r string, i int) (string, int) {
	if i < len(r) && r[i] == ' ' {
		i++
	}
	j := i
	for j < len(r) && isAlpha(r[j]) {
		j++
	}
	w := strings.ToLower(r[i:j])
	if len(w) > 2 {
		w = strings.TrimSuffix(w, "s")
	}
	return w, j
}

// latexNumber returns the length of a leading \frac{a}{b}, so that the clause
// is not cut down to its numerator.
func latexNumber(r string) int {
	t := strings.TrimLeft(r, " $(\\-")
	if !strings.HasPrefix(t, "frac") && !strings.HasPrefix(t, "dfrac") && !strings.HasPrefix(t, "tfrac") && !strings.HasPrefix(t, "text") {
		return 0
	}
	return len(strings.TrimRight(r, " $)."))
}

// separators drops what groups digits beside commas and points.
var separators = strings.NewReplacer("{,}", "", ",\\!", "", "\\,", "", "\\!", "", "\\ ", "", "'", "", " ", "", "~", "")

// operators writes an expression as the verifier reads it.
var operators = strings.NewReplacer("×", "*", " x ", " * ", "÷", "/")

// decimal writes a literal of digits and separators in plain digits; "" for one
// that is several numbers. comma tells that the text writes decimals with a comma.
func decimal(t string, comma bool) string {
	if digitsEnd(t, 0) == len(t) {
		return t
	}
	t = separators.Replace(t)
	dots, commas := strings.Count(t, "."), strings.Count(t, ",")
	last := strings.LastIndexAny(t, ".,")
	switch {
	case dots+commas == 0:
		return t
	case dots > 0 && commas > 0:
		point := t[last : last+1]
		other := map[string]string{".": ",", ",": "."}[point]
		if strings.Count(t, point) > 1 || !grouped(t[:last], other) {
			return ""
		}
		return strings.ReplaceAll(t[:last], other, "") + "." + t[last+1:]
	case dots+commas > 1:
		sep := t[last : last+1]
		if !grouped(t, sep) {
			return ""
		}
		return strings.ReplaceAll(t, sep, "")
	}
	group := len(t)-last-1 == 3 && last > 0 && last <= 3 && t[0] != '0'
	if t[last] == ',' && group && !comma || t[last] == '.' && group && comma {
		return t[:last] + t[last+1:]
	}
	return t[:last] + "." + t[last+1:]
}

// thousands writes digits in groups of three, before a point if it has one.
func thousands(t string) string {
	n := strings.IndexByte(t, '.')
	if n < 0 {
		n = len(t)
	}
	for n > 3 {
		n -= 3
		t = t[:n] + "," + t[n:]
	}
	return t
}

// grouped reports digits in groups of three, or of two with three at the end.
func grouped(t, sep string) bool {
	g := strings.Split(t, sep)
	if len(g) == 1 {
		return true
	}
	if len(g[0]) == 0 || len(g[0]) > 3 || len(g[len(g)-1]) != 3 {
		return false
	}
	two, three := true, true
	for _, x := range g[1 : len(g)-1] {
		two, three = two && len(x) == 2, three && len(x) == 3
	}
	return three || two && sep == "," && len(g[0]) <= 2
}

// commaDecimals reports that a text writes decimals with a comma: it has a number
// such as 2,50 or 1.234,5 and none such as 2.50.
func commaDecimals(t string) bool {
	comma := false
	for i := 0; i < len(t); i++ {
		if !isDigit(t[i]) {
			continue
		}
		e := literalEnd(t, i)
		if lit := t[i:e]; numberStart(t, i) && (i == 0 || strings.IndexByte("([{,", t[i-1]) < 0) {
			dots, commas := strings.Count(lit, "."), strings.Count(lit, ",")
			last := strings.LastIndexAny(lit, ".,")
			tail := len(lit) - last - 1
			switch {
			case commas == 1 && lit[last] == ',' && (tail != 3 || dots > 0) && (dots == 0 || grouped(lit[:last], ".")):
				comma = true
			case dots == 1 && lit[last] == '.' && (tail != 3 || commas > 0):
				return false
			}
		}
		i = max(i, e-1)
	}
	return comma
}

// amount is a number phrase of a clause: [s, e) and how it is given to the
// verifier, which is the phrase itself unless text says otherwise.
type amount struct {
	s, e int
	text string
	val  *big.Rat // nil where it is not known
}

// status is what a clause says of the answer.
type status int

const (
	nothing status = iota // it states none
	stated
	several // it states several values or a range
	bound   // it states a bound
)

// readAmount reads the number that a clause states: after its last equals sign if
// it computes, otherwise the first number, with all that belongs to it.
func readAmount(r string) (amount, status) {
	off := 0
	if i := strings.LastIndexByte(r, '='); i >= 0 {
		if _, _, ok := firstNumber(r[i+1:]); ok {
			off = i + 1
		}
	}
	if n := latexNumber(r[off:]); n > 0 {
		return amount{s: off, e: off + n}, stated
	}
	a, ok := amountIn(r, off)
	if !ok {
		return a, nothing
	}
	if bounded(r[:a.s]) {
		return a, bound
	}
	if e := compound(r, a.e); e > a.e && a.text == "" {
		a.e, a.val = e, nil
		return a, stated
	}
	if w := wordsOf(r[a.e:], 1); len(w) == 1 && operations[w[0].word] {
		return a, bound
	}
	st, e := stated, a.e
	for {
		b, ok := another(r, e)
		if !ok {
			break
		}
		if a.val == nil || b.val == nil || a.val.Cmp(b.val) != 0 {
			st = several
		}
		if b.e == 0 { // a range
			return a, bound
		}
		e = b.e
	}
	if st == several {
		_, e = unitWord(r, e)
		a.e, a.text = e, ""
	}
	return a, st
}

// amountIn finds the first amount at or after off: digits, or number words where
// the clause begins with them or has no digits.
func amountIn(r string, off int) (amount, bool) {
	s, e, digits := firstNumber(r[off:])
	s, e = s+off, e+off
	ws, _, words := wordNumber(r[off:])
	ws += off
	if words && (!digits || ws < s && strings.Trim(strings.TrimSuffix(r[off:ws], "a "), " $*~(") == "" || ws < s && signWord(r[off:ws]) == len(r[off:ws])) {
		if a, ok := wordAmount(r, ws); ok {
			return a, true
		}
	}
	if !digits {
		return amount{}, false
	}
	return digitAmount(r, s, e), true
}

// signWord is the length of a leading "minus " or "negative ".
func signWord(r string) int {
	for _, w := range signWords {
		if len(r) >= len(w) && strings.EqualFold(r[:len(w)], w) {
			return len(w)
		}
	}
	return 0
}

// digitAmount extends the number at [s, e) over all that belongs to it: "2 x
// 10^3", "$2M", "3 and a half", "2 thirds", "1 out of 5".
func digitAmount(r string, s, e int) amount {
	a := amount{s: s, e: e}
	lit := s
	for lit < e && !isDigit(r[lit]) && r[lit] != '.' {
		lit++
	}
	head := r[s:lit]
	money := strings.Trim(head, "+- ") != ""
	neg := strings.Contains(head, "-")
	for _, w := range signWords {
		if k := s - len(w); k >= 0 && strings.EqualFold(r[k:s], w) && (k == 0 || !isAlpha(r[k-1])) {
			a.s, neg, head = k, true, "-"+head
			a.text = head + r[lit:e]
		}
	}
	rest := r[e:]
	if rest == "" && a.text == "" && digitsEnd(r, lit) == e { // the plain case needs no value
		return a
	}
	a.val = value(r[lit:e], neg)
	set := func(v *big.Rat, e int) {
		a.val, a.e = v, e
		a.text = strings.Trim(head, "+-") + ratText(v)
	}
	if money && r[s] == '$' && strings.HasPrefix(rest, "$") { // "$11$" is mathematics
		a.s, money = s+1, false
		head = strings.Replace(head, "$", "", 1)
	}
	if strings.HasSuffix(r[:e], "%") {
		return a.percent()
	}
	for _, w := range []string{" %", " percent", " per cent", "percent", " Prozent", " por ciento", " pour cent"} {
		if len(rest) >= len(w) && strings.EqualFold(rest[:len(w)], w) {
			a.e, a.text = e+len(w), head+r[lit:e]+"%"
			return a.percent()
		}
	}
	if strings.HasPrefix(rest, ":") && isDigitAt(rest, 1) { // 2:30, 3:4
		a.e, a.text, a.val = e+digitsEnd(rest, 1), "", nil
		return a
	}
	if t := r[lit:e]; !strings.ContainsAny(t, "/eE%") {
		switch plain := decimal(t, false); plain {
		case "": // several numbers: "1,2,3"
			return a
		case t:
		default:
			if plain != strings.ReplaceAll(t, ",", "") || len(plain) > 3 && t != thousands(plain) {
				a.text = head + plain
			}
		}
	}
	if n, exp := timesTen(rest); n > 0 {
		a.e, a.val = e+n, nil
		a.text = head + decimal(r[lit:e], false) + "*10^{" + exp + "}"
		if k, err := strconv.Atoi(exp); err == nil && k >= 0 && k < 16 && value(r[lit:e], neg) != nil {
			ten := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(k)), nil))
			set(ten.Mul(ten, value(r[lit:e], neg)), e+n)
		}
		return a
	}
	if n := arithmetic(rest); n > 0 {
		a.e, a.val = e+n, nil
		a.text = operators.Replace(r[a.s:a.e])
		return a
	}
	if a.val == nil {
		return a
	}
	if n, by := scale(rest, money); n > 0 {
		set(new(big.Rat).Mul(a.val, by), e+n)
		rest = r[a.e:]
	}
	if n, f := andPart(rest); n > 0 {
		if neg {
			f.Neg(f)
		}
		set(new(big.Rat).Add(a.val, f), a.e+n)
		return a
	}
	if n, of := outOf(rest); n > 0 {
		set(new(big.Rat).Quo(a.val, of), a.e+n)
	}
	return a
}

// percent divides the value of an amount in percent.
func (a amount) percent() amount {
	if a.val != nil {
		a.val = new(big.Rat).Quo(a.val, big.NewRat(100, 1))
	}
	return a
}

// value is the number of a literal, with a fraction or an exponent.
func value(lit string, neg bool) *big.Rat {
	if digitsEnd(lit, 0) == len(lit) && len(lit) < 18 {
		n, _ := strconv.ParseInt(lit, 10, 64)
		if neg {
			n = -n
		}
		return new(big.Rat).SetInt64(n)
	}
	lit = strings.TrimSuffix(lit, "%")
	whole, frac := "", lit
	if i := strings.IndexByte(lit, '/'); i >= 0 {
		if k := strings.LastIndexByte(lit[:i], ' '); k >= 0 {
			whole, frac = lit[:k], lit[k+1:]
		}
	} else if i := strings.IndexAny(lit, "eE"); i >= 0 {
		if len(lit)-i > 4 { // a large exponent
			return nil
		}
		frac = decimal(lit[:i], false) + lit[i:]
	} else {
		frac = decimal(lit, false)
	}
	v, ok := new(big.Rat).SetString(frac)
	if !ok {
		return nil
	}
	if whole != "" {
		w, ok := new(big.Rat).SetString(decimal(whole, false))
		if !ok {
			return nil
		}
		v.Add(v, w)
	}
	if neg {
		v.Neg(v)
	}
	return v
}

// ratText writes a number as a decimal if it has a finite one, else as a fraction.
func ratText(v *big.Rat) string {
	if v.IsInt() {
		return v.Num().String()
	}
	if n, exact := v.FloatPrec(); exact && n <= 12 {
		return v.FloatString(n)
	}
	return v.String()
}

// timesTen reads " x 10^3" and gives its length and exponent.
func timesTen(r string) (int, string) {
	t := strings.TrimLeft(r, " ")
	for _, op := range []string{"x", "X", "×", "*", "\\times", "\\cdot", "·"} {
		u, ok := strings.CutPrefix(t, op)
		if !ok {
			continue
		}
		u = strings.TrimLeft(u, " ")
		if u, ok = strings.CutPrefix(u, "10"); !ok || u == "" {
			return 0, ""
		}
		if c, _ := powers(u); c > 0 {
			_, exp := powers(u)
			return len(r) - len(u) + c, exp
		}
		u, ok = strings.CutPrefix(strings.TrimLeft(u, " "), "^")
		if !ok {
			return 0, ""
		}
		u = strings.TrimLeft(u, " ")
		brace := strings.HasPrefix(u, "{") || strings.HasPrefix(u, "(")
		if brace {
			u = u[1:]
		}
		e := 0
		if e < len(u) && (u[e] == '-' || u[e] == '+') {
			e++
		}
		d := digitsEnd(u, e)
		if d == e {
			return 0, ""
		}
		exp := strings.TrimPrefix(u[:d], "+")
		if brace && d < len(u) {
			d++
		}
		return len(r) - len(u) + d, exp
	}
	return 0, ""
}

// powers reads superscript digits: their length and the digits in ASCII.
func powers(r string) (int, string) {
	n, out := 0, ""
	for n < len(r) {
		hit := false
		for i, s := range []string{"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹", "⁻"} {
			if strings.HasPrefix(r[n:], s) {
				out += "0123456789-"[i : i+1]
				n += len(s)
				hit = true
				break
			}
		}
		if !hit {
			break
		}
	}
	return n, out
}

// arithmetic is the length of operators and numbers that go on with a number:
// "^3", " * 4 + 1".
func arithmetic(r string) int {
	n := 0
	for {
		t := strings.TrimLeft(r[n:], " ")
		spaced := len(t) < len(r)-n
		op := 0
		for _, o := range []string{"^{", "^", "**", "*", "×", "÷", "\\times", "\\cdot", "\\div", "x ", "+", "-", "/"} {
			if strings.HasPrefix(t, o) && (spaced || strings.IndexByte("-x", o[0]) < 0) {
				op = len(o)
				break
			}
		}
		if c, _ := powers(t); c > 0 && !spaced {
			n += c
			continue
		}
		if op == 0 {
			return n
		}
		u := strings.TrimLeft(t[op:], " (")
		if t[0] == '-' && spaced && len(u) == len(t)-op {
			return n // "2 -3"
		}
		if t[0] == '^' {
			u = strings.TrimLeft(u, "-")
		}
		d := literalEnd(u, 0)
		if d == 0 {
			return n
		}
		if strings.HasPrefix(t, "^{") && strings.HasPrefix(u[d:], "}") {
			d++
		}
		n = len(r) - len(u) + d
	}
}

// scale reads " million", "k" and the like after a number; letters want a currency.
func scale(r string, money bool) (int, *big.Rat) {
	t := strings.TrimLeft(r, " ")
	gap := len(r) - len(t)
	if gap > 1 || len(t) > 0 && t[0] == '-' && gap > 0 {
		return 0, nil
	}
	if strings.HasPrefix(t, "-") {
		t, gap = t[1:], 1
	}
	e := 0
	for e < len(t) && isAlpha(t[e]) {
		e++
	}
	if by, ok := scales[strings.ToLower(t[:e])]; ok {
		v := big.NewRat(by, 1)
		n := gap + e
		if m, more := scale(r[n:], false); m > 0 {
			return n + m, v.Mul(v, more)
		}
		return n, v
	}
	if by, ok := scaleLetters[t[:e]]; ok && (money || gap == 0 && (by == 1000 || moneyWord(t[e:]))) && (e >= len(t) || !isWordByte(t[e])) {
		return gap + e, big.NewRat(by, 1)
	}
	w := strings.ToLower(t[:e])
	if d, ok := parts[w]; ok && gap == 1 && (strings.HasSuffix(w, "s") || ended(t[e:]) || strings.HasPrefix(t[e:], " of ")) {
		return gap + e, big.NewRat(1, d)
	}
	return 0, nil
}

func moneyWord(t string) bool {
	w := wordsOf(t, 1)
	return len(w) == 1 && currencies[w[0].word]
}

// andPart reads " and a half", " and three quarters", " and 1/2".
func andPart(r string) (int, *big.Rat) {
	if len(r) < 6 || !strings.EqualFold(r[:5], " and ") {
		return 0, nil
	}
	t := r[5:]
	if d := digitsEnd(t, 0); d > 0 && d < len(t) && t[d] == '/' && isDigitAt(t, d+1) {
		e := digitsEnd(t, d+1)
		return 5 + e, value(t[:e], false)
	}
	w := wordsOf(t, 2)
	if len(w) < 2 {
		return 0, nil
	}
	top := int64(1)
	if w[0].word != "a" && w[0].word != "an" {
		n, ok := numerals[w[0].word]
		if !ok {
			return 0, nil
		}
		top = n
	}
	d, ok := parts[w[1].word]
	if !ok {
		return 0, nil
	}
	return 5 + w[1].e, big.NewRat(top, d)
}

// outOf reads " out of 5" and " in 5" at the end of a clause.
func outOf(r string) (int, *big.Rat) {
	for _, w := range []string{" out of every ", " out of ", " in "} {
		if len(r) <= len(w) || !strings.EqualFold(r[:len(w)], w) {
			continue
		}
		t := r[len(w):]
		if ws := wordsOf(t, 1); len(ws) == 1 && ws[0].s == 0 {
			if n, ok := numerals[ws[0].word]; ok && n > 0 && (w != " in " || ended(t[ws[0].e:])) {
				return len(w) + ws[0].e, big.NewRat(n, 1)
			}
		}
		if e := literalEnd(t, 0); e > 0 && (w != " in " || ended(t[e:])) {
			if v := value(t[:e], false); v != nil && v.Sign() > 0 {
				return len(w) + e, v
			}
		}
	}
	return 0, nil
}

// ended reports that a clause is over.
func ended(r string) bool {
	r = strings.TrimLeft(r, " $*")
	return r == "" || strings.IndexByte(".,;:)!?", r[0]) >= 0
}

// bounded reports that the text before a number makes it a bound or the end of a
// range: "at least", "between", "x <".
func bounded(before string) bool {
	t := strings.ToLower(strings.TrimRight(before, " $*~(\\"))
	for _, w := range bounds {
		if strings.HasSuffix(t, w) && (!isAlpha(w[0]) || len(t) == len(w) || !isWordByte(t[len(t)-len(w)-1])) {
			return true
		}
	}
	return false
}

// another reads a further value of the same statement right after position e: " or
// 3", " to 3", "-3", ", 3", " dollars and 3".
func another(r string, e int) (amount, bool) {
	t := r[e:]
	i := 0
	for words := 0; ; words++ {
		j := i
		for j < len(t) && (t[j] == ' ' || t[j] == '*' || t[j] == '$' && words == 0) {
			j++
		}
		rest := strings.ToLower(t[j:min(len(t), j+16)])
		for _, link := range links {
			if !strings.HasPrefix(rest, link) || words > 0 && (link == "to " || link[0] == '-' || link == ", " || link == "; ") || link == "-" && j > i && !isDigitAt(t, j+1) {
				continue
			}
			if strings.HasPrefix(link, "<") || strings.HasPrefix(link, "\\") || strings.HasPrefix(link, ">") || link == "≤" || link == "≥" || link == "±" || link == "+/-" {
				return amount{}, true
			}
			k := e + j + len(link)
			for k < len(r) && strings.IndexByte(" $*", r[k]) >= 0 && !(r[k] == '$' && isDigitAt(r, k+1)) {
				k++
			}
			if k >= len(r) {
				return amount{}, false
			}
			var b amount
			if ws, _, ok := wordNumber(r[k:]); ok && ws == 0 {
				b, ok = wordAmount(r, k)
				return b, ok
			}
			if s, ne, ok := firstNumber(r[k:]); ok && s == 0 {
				return digitAmount(r, k, k+ne), true
			}
			return amount{}, false
		}
		if words == 2 {
			return amount{}, false
		}
		k := j
		for k < len(t) && isAlpha(t[k]) {
			k++
		}
		if k == j {
			return amount{}, false
		}
		i = k
	}
}

// closingNumber reports a sentence that is one number with at most a few words
// of unit: "17", "-7 games per year".
func closingNumber(r string) bool {
	if s, _, ok := firstNumber(r); !ok || s > 20 {
		return false
	}
	a, ok := amountIn(r, 0)
	if !ok || a.s != 0 || len(strings.Fields(r[a.e:])) > 4 || strings.ContainsAny(r[a.e:], "0123456789=+*/:(") {
		return false
	}
	for _, w := range strings.Fields(strings.ToLower(r[a.e:])) {
		switch w {
		case "is", "are", "was", "were", "of", "more", "and", "or", "to", "would", "not", "isn't", "can't", "cannot", "has", "have":
			return false
		}
	}
	return true
}

// concludedAmount reads the number of a closing sentence: the one after its equals
// sign, its only number, or the one after its verb.
func concludedAmount(r string) (amount, status) {
	if i := strings.LastIndexByte(r, '='); i >= 0 {
		a, st := readAmount(r[i+1:])
		a.s, a.e = a.s+i+1, a.e+i+1
		return a, st
	}
	a, st := readAmount(r)
	if st == nothing {
		return a, st
	}
	if _, more := amountIn(r, a.e); !more {
		return a, st
	}
	// The number right after the last verb that states an amount.
	best, n := -1, 0
	for _, v := range amountVerbs {
		for off := 0; ; {
			k := strings.Index(r[off:], v)
			if k < 0 {
				break
			}
			off += k + len(v)
			if a, ok := amountIn(r, off); ok && a.s-off <= 2 {
				n++
				best = max(best, off)
			}
		}
	}
	if best < 0 || n > 1 && strings.Contains(r, " and ") && containsWord(strings.ToLower(r), totals) < 0 {
		return a, nothing
	}
	a, st = readAmount(r[best:])
	a.s, a.e = a.s+best, a.e+best
	return a, st
}
