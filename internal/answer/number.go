package answer

import "strings"

// numberAt reads the number that starts at s: sign, currency, digits with
// thousands separators, decimals, a fraction or mixed number, exponent and
// percent sign. It returns its end.
func numberAt(t string, s int) (int, bool) {
	i := s
	if i < len(t) && (t[i] == '-' || t[i] == '+') {
		i++
	} else if strings.HasPrefix(t[i:], "−") {
		i += len("−")
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
	e := digitsEnd(t, i)
	if e == i && !(i < len(t) && t[i] == '.' && isDigitAt(t, i+1)) {
		return 0, false
	}
	for e > i && e-i <= 3 || e > i && e < len(t) {
		n := groupSep(t, e)
		if n == 0 || digitsEnd(t, e+n) != e+n+3 {
			break
		}
		e += n + 3
	}
	if e < len(t) && t[e] == '.' && isDigitAt(t, e+1) {
		e = digitsEnd(t, e+1)
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

func isDigitAt(t string, i int) bool { return i < len(t) && isDigit(t[i]) }

func digitsEnd(t string, i int) int {
	for i < len(t) && isDigit(t[i]) {
		i++
	}
	return i
}

// groupSep is the length of a thousands separator.
func groupSep(t string, i int) int {
	switch {
	case i >= len(t):
		return 0
	case t[i] == ',':
		return 1
	case strings.HasPrefix(t[i:], "{,}"):
		return 3
	case strings.HasPrefix(t[i:], "\\,"):
		return 2
	}
	return 0
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
	case strings.HasSuffix(t[:s], "−"):
		n = len("−")
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

// numerals are the number words that can stand for a whole answer.
var numerals = map[string]bool{"zero": true, "one": true, "two": true, "three": true, "four": true, "five": true,
	"six": true, "seven": true, "eight": true, "nine": true, "ten": true, "eleven": true, "twelve": true, "thirteen": true,
	"fourteen": true, "fifteen": true, "sixteen": true, "seventeen": true, "eighteen": true, "nineteen": true,
	"twenty": true, "thirty": true, "forty": true, "fifty": true, "sixty": true, "seventy": true, "eighty": true,
	"ninety": true, "hundred": true, "thousand": true, "million": true}

// wordNumber finds a run of number words: "twenty five".
func wordNumber(t string) (int, int, bool) {
	start, end := -1, -1
	for i := 0; i < len(t); {
		for i < len(t) && !isAlpha(t[i]) {
			i++
		}
		j := i
		for j < len(t) && isAlpha(t[j]) {
			j++
		}
		if j > i && numerals[strings.ToLower(t[i:j])] {
			if start < 0 {
				start = i
			}
			end = j
		} else if start >= 0 {
			break
		}
		i = j
	}
	return start, end, start >= 0
}

// stateNumber finds the number that a clause states: after its last equals
// sign if it computes, otherwise the first number, otherwise number words.
func stateNumber(r string) (int, int, bool) {
	off := 0
	if i := strings.LastIndexByte(r, '='); i >= 0 {
		if _, _, ok := firstNumber(r[i+1:]); ok {
			off = i + 1
		}
	}
	if n := latexNumber(r[off:]); n > 0 {
		return off, off + n, true
	}
	if s, e, ok := firstNumber(r[off:]); ok {
		return off + s, off + compound(r[off:], e), true
	}
	return wordNumber(r)
}

// smallerUnits are the units that may follow a unit in one quantity: "2 hours
// and 45 minutes", "5 feet 3 inches".
var smallerUnits = map[string][]string{
	"day": {"hour"}, "week": {"day"}, "year": {"month", "week", "day"}, "month": {"day", "week"},
	"hour": {"minute"}, "hr": {"min"}, "h": {"min"}, "minute": {"second"}, "min": {"sec"},
	"foot": {"inch"}, "feet": {"inch"}, "ft": {"in"}, "yard": {"foot", "feet"},
	"pound": {"ounce"}, "lb": {"oz"}, "dollar": {"cent"}, "kilometer": {"meter"}, "meter": {"centimeter"},
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

// closingNumber reports a sentence that is one number with at most a few words
// of unit: "17", "-7 games per year".
func closingNumber(r string) bool {
	s, e, ok := firstNumber(r)
	if !ok || s != 0 || len(strings.Fields(r[e:])) > 4 || strings.ContainsAny(r[e:], "0123456789=+*/:(") {
		return false
	}
	for _, w := range strings.Fields(r[e:]) {
		switch w {
		case "is", "are", "was", "were", "of", "more", "and":
			return false
		}
	}
	return true
}

// concludedNumber reads the number of a closing sentence: the one after its equals
// sign, its only number, or the one after its verb.
func concludedNumber(r string) (int, int, bool) {
	if i := strings.LastIndexByte(r, '='); i >= 0 {
		s, e, ok := firstNumber(r[i+1:])
		return i + 1 + s, i + 1 + e, ok
	}
	s, e, ok := firstNumber(r)
	if !ok {
		return 0, 0, false
	}
	if _, _, more := firstNumber(r[e:]); !more {
		return s, e, true
	}
	// The number right after the last verb that states an amount.
	best := -1
	for _, v := range amountVerbs {
		for off := 0; ; {
			k := strings.Index(r[off:], v)
			if k < 0 {
				break
			}
			off += k + len(v)
			if s, _, ok := firstNumber(r[off:]); ok && s <= 2 && off > best {
				best = off
			}
		}
	}
	if best >= 0 {
		s, e, ok := firstNumber(r[best:])
		return best + s, best + e, ok
	}
	return 0, 0, false
}

// amountVerbs come right before the amount that a sentence states.
var amountVerbs = []string{" is ", " are ", " was ", " were ", " be ", " has ", " have ", " had ", " makes ", " made ",
	" earns ", " earned ", " needs ", " costs ", " equals ", " pays ", " spends ", " spent ", " gets ", " total of ",
	" takes ", " total is ", " it's "}
