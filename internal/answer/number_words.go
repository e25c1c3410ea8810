package answer

import (
	"math/big"
	"strconv"
	"strings"
)

// wordSpan is one word of a clause, in lower case.
type wordSpan struct {
	s, e int
	word string
}

// wordsOf lists the first words of t, in lower case, joined by blanks or hyphens.
func wordsOf(t string, most int) []wordSpan {
	var out []wordSpan
	for i := 0; len(out) < most; {
		for i < len(t) && (t[i] == ' ' || t[i] == '-') {
			i++
		}
		j := i
		for j < len(t) && isAlpha(t[j]) {
			j++
		}
		if j == i {
			break
		}
		out = append(out, wordSpan{i, j, strings.ToLower(t[i:j])})
		i = j
	}
	return out
}

// wordNumber finds where a run of number words begins: "twenty five", "a
// million", "half".
func wordNumber(t string) (int, int, bool) {
	for i := 0; i < len(t); {
		for i < len(t) && !isAlpha(t[i]) {
			i++
		}
		j := i
		for j < len(t) && isAlpha(t[j]) {
			j++
		}
		w := strings.ToLower(t[i:j])
		_, num := numerals[w]
		_, big := scales[w]
		if parts[w] > 2 && (strings.HasSuffix(t[:i], "a ") || strings.HasSuffix(t[:i], "an ")) && (ended(t[j:]) || strings.HasPrefix(t[j:], " of ")) {
			big = true // "a quarter"
		}
		if j > i && (num || big || w == "half") && (i == 0 || !isWordByte(t[i-1])) && (j == len(t) || t[j] < 0x80) {
			return i, j, true
		}
		i = max(j, i+1)
	}
	return 0, 0, false
}

// wordAmount reads the number words at s: "minus three and a half", "one hundred
// and twenty", "nine point eight", "two thirds", "one in five".
func wordAmount(r string, s int) (amount, bool) {
	a := amount{s: s}
	ws := wordsOf(r[s:], 16)
	v, i := cardinal(ws)
	plain := i == 1 && numerals[ws[0].word] < 100 && scales[ws[0].word] == 0 // "five" is given as it stands
	switch {
	case i == 0 && len(ws) > 0 && parts[ws[0].word] > 0: // "half", "a quarter"
		if next := wordsOf(r[s+ws[0].e:], 1); ws[0].word == "half" && len(next) == 1 && (next[0].word == "of" || next[0].word == "a" || next[0].word == "the") {
			return a, false // "half of them"
		}
		v, i = big.NewRat(1, parts[ws[0].word]), 1
	case i == 0:
		return a, false
	case i < len(ws) && parts[ws[i].word] > 0:
		if w := ws[i].word; (v.Cmp(big.NewRat(1, 1)) == 0) != strings.HasSuffix(w, "s") { // "one third", "two thirds"
			v.Quo(v, big.NewRat(parts[w], 1))
			i++
		}
	}
	a.e = s + ws[i-1].e
	plain = plain && i == 1
	if n, f := andPart(r[a.e:]); n > 0 {
		v.Add(v, f)
		a.e, plain = a.e+n, false
	}
	if n, of := outOf(r[a.e:]); n > 0 {
		v.Quo(v, of)
		a.e, plain = a.e+n, false
	}
	for _, w := range signWords {
		if k := s - len(w); k >= 0 && strings.EqualFold(r[k:s], w) {
			v.Neg(v)
			a.s, plain = k, false
		}
	}
	a.val = v
	if !plain {
		a.text = ratText(v)
	}
	return a, true
}

// cardinal adds up the number words with which ws begins: "two thousand five
// hundred", "one hundred and twenty", "one point five million". It returns how many
// there are.
func cardinal(ws []wordSpan) (*big.Rat, int) {
	total, current := new(big.Rat), new(big.Rat)
	i := 0
	for i < len(ws) {
		w := ws[i].word
		if n, ok := numerals[w]; ok {
			if i > 0 && current.Sign() != 0 && scales[ws[i-1].word] == 0 && ws[i-1].word != "and" &&
				(numerals[ws[i-1].word] < 20 || n > 9 || n == 0) {
				break // "twenty five" goes on, "two three" does not
			}
			current.Add(current, big.NewRat(n, 1))
			i++
			continue
		}
		if by := scales[w]; by > 0 {
			if current.Sign() == 0 {
				current.SetInt64(1)
			}
			current.Mul(current, big.NewRat(by, 1))
			if by >= 1000 {
				total.Add(total, current)
				current.SetInt64(0)
			}
			i++
			continue
		}
		if w == "and" && i > 0 && i+1 < len(ws) && scales[ws[i-1].word] >= 100 && numerals[ws[i+1].word] > 0 && (i+2 >= len(ws) || parts[ws[i+2].word] == 0) {
			i++ // "one hundred and twenty"
			continue
		}
		if w == "point" && i > 0 {
			digits := ""
			for _, d := range ws[i+1:] {
				n, ok := numerals[d.word]
				if !ok || n > 9 {
					break
				}
				digits += strconv.FormatInt(n, 10)
			}
			if f, ok := new(big.Rat).SetString("0." + digits); ok && digits != "" {
				current.Add(current, f)
				i += 1 + len(digits)
				if i < len(ws) && scales[ws[i].word] > 0 {
					current.Mul(current, big.NewRat(scales[ws[i].word], 1))
					i++
				}
			}
		}
		break
	}
	return total.Add(total, current), i
}
