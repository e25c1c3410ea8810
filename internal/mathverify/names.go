package mathverify

import "strings"

// functions maps the names that take an argument to their number of
// arguments; -1 means any number.
var functions = map[string]int{
	"sin": 1, "cos": 1, "tan": 1, "cot": 1, "sec": 1, "csc": 1, "cosec": 1, "tg": 1, "ctg": 1, "cotg": 1,
	"arcsin": 1, "arccos": 1, "arctan": 1, "arccot": 1, "arcsec": 1, "arccsc": 1, "arctg": 1,
	"asin": 1, "acos": 1, "atan": 1, "acot": 1, "asec": 1, "acsc": 1,
	"sinh": 1, "cosh": 1, "tanh": 1, "coth": 1, "sech": 1, "csch": 1,
	"arcsinh": 1, "arccosh": 1, "arctanh": 1, "asinh": 1, "acosh": 1, "atanh": 1, "arsinh": 1, "arcosh": 1, "artanh": 1,
	"arccoth": 1, "arcsech": 1, "arccsch": 1, "acoth": 1, "asech": 1, "acsch": 1, "arcoth": 1, "arsech": 1, "arcsch": 1, "arcosech": 1,
	"exp": 1, "ln": 1, "log": 1, "lg": 1, "sqrt": 1, "cbrt": 1, "abs": 1, "floor": 1, "ceil": 1, "ceiling": 1,
	"round": 1, "sgn": 1, "sign": 1, "signum": 1, "Re": 1, "Im": 1, "re": 1, "im": 1, "conj": 1, "conjugate": 1,
	"arg": 1, "factorial": 1, "fact": 1, "gcd": -1, "lcm": -1, "gcf": -1, "max": -1, "min": -1, "mod": 2,
	"binomial": 2, "binom": 2, "det": 1, "deg": 1, "cis": 1,
}

// funcAlias gives the one name used in the tree.
var funcAlias = map[string]string{
	"cosec": "csc", "tg": "tan", "ctg": "cot", "cotg": "cot", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
	"arctg": "arctan", "acot": "arccot", "asec": "arcsec", "acsc": "arccsc", "asinh": "arcsinh", "acosh": "arccosh",
	"atanh": "arctanh", "acoth": "arccoth", "asech": "arcsech", "acsch": "arccsch", "arcoth": "arccoth",
	"arsech": "arcsech", "arcsch": "arccsch", "arcosech": "arccsch", "arsinh": "arcsinh", "arcosh": "arccosh", "artanh": "arctanh", "ceiling": "ceil",
	"sign": "sgn", "signum": "sgn", "Re": "re", "Im": "im", "conjugate": "conj", "fact": "factorial", "gcf": "gcd",
	"binom": "binomial",
}

var constants = map[string]string{
	"pi": "pi", "Pi": "pi", "PI": "pi", "e": "e", "i": "i", "infty": "inf", "infinity": "inf", "inf": "inf", "oo": "inf",
	"Infinity": "inf", "emptyset": "emptyset", "varnothing": "emptyset", "imath": "i", "exponentialE": "e",
}

var greek = map[rune]string{
	'α': "alpha", 'β': "beta", 'γ': "gamma", 'δ': "delta", 'ε': "epsilon", 'ζ': "zeta", 'η': "eta", 'θ': "theta",
	'ι': "iota", 'κ': "kappa", 'λ': "lambda", 'μ': "mu", 'µ': "mu", 'ν': "nu", 'ξ': "xi", 'π': "pi", 'ρ': "rho",
	'σ': "sigma", 'τ': "tau", 'υ': "upsilon", 'φ': "phi", 'ϕ': "phi", 'χ': "chi", 'ψ': "psi", 'ω': "omega",
	'Γ': "Gamma", 'Δ': "Delta", 'Θ': "Theta", 'Λ': "Lambda", 'Ξ': "Xi", 'Π': "Pi2", 'Σ': "Sigma", 'Φ': "Phi",
	'Ψ': "Psi", 'Ω': "Omega", 'ℝ': "Reals", 'ℤ': "Integers", 'ℕ': "Naturals", 'ℚ': "Rationals", 'ℂ': "Complexes",
}

var isGreek = func() map[string]bool {
	m := map[string]bool{"varepsilon": true, "vartheta": true, "varphi": true, "varrho": true, "varsigma": true,
		"ell": true, "hbar": true, "nabla": true, "partial": true, "aleph": true}
	for _, n := range greek {
		m[n] = true
	}
	return m
}()

// numberWords are the words that count as numbers.
var numberWords = map[string]int64{
	"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
	"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
	"seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
	"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}

// fractionWords are the names of the parts of a whole.
var fractionWords = map[string]int64{
	"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
	"fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8,
	"ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10, "eleventh": 11, "elevenths": 11, "twelfth": 12,
	"twelfths": 12, "hundredth": 100, "hundredths": 100, "thousandth": 1000, "thousandths": 1000,
}

var scaleWords = map[string]int64{
	"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1000000, "billion": 1000000000, "trillion": 1000000000000,
}

// fillerWords may stand before an answer without changing it.
var fillerWords = map[string]bool{
	"about": true, "approximately": true, "exactly": true, "around": true, "roughly": true, "is": true, "the": true,
	"equals": true, "only": true, "are": true, "answer": true, "nearly": true, "approx": true, "total": true, "of": true,
	"a": true, "an": true, "for": true, "all": true, "if": true, "when": true, "where": true, "with": true, "every": true, "real": true,
}

// isWordName reports a name that \mathrm, \text or \operatorname may wrap
// without turning it into prose.
func isWordName(s string) bool {
	s = strings.TrimPrefix(s, "\\")
	return len(s) > 1 && (functions[s] != 0 || s == "pi")
}

// split breaks a run of letters such as "sinx" or "pir" into known names and
// single letters; ok is false when the run reads as a word instead. known
// names are tried first, longest first.
func split(w string, tex bool) (parts []string, ok bool) {
	if len(w) == 1 || functions[w] != 0 || constants[w] != "" || isGreek[w] {
		return []string{w}, true
	}
	found := false
	for i := 0; i < len(w); {
		hit := ""
		for j := min(len(w), i+7); j > i+1; j-- {
			if s := w[i:j]; s == "pi" || len(s) > 2 && splitNames[s] || s == "ln" {
				hit = s
				break
			}
		}
		if hit != "" {
			found = true
			parts = append(parts, hit)
			i += len(hit)
			continue
		}
		parts = append(parts, w[i:i+1])
		i++
	}
	singles := 0
	for _, p := range parts {
		if len(p) == 1 {
			singles++
		}
	}
	switch {
	case found && singles <= 2:
		return parts, true
	case tex && !found && len(w) <= 4, len(w) <= 2, len(w) == 3 && !found && !commonWord(w):
		return parts, true
	case isUpper(w) && len(w) <= 6 && !found:
		return parts, true
	}
	return nil, false
}

// splitNames are the function names searched for inside longer runs.
var splitNames = map[string]bool{
	"sin": true, "cos": true, "tan": true, "cot": true, "sec": true, "csc": true, "log": true, "exp": true,
	"sqrt": true, "theta": true, "alpha": true, "beta": true,
}

func isUpper(w string) bool { return strings.ToUpper(w) == w }

// commonWord keeps short English words from being read as products.
func commonWord(w string) bool {
	switch strings.ToLower(w) {
	case "and", "the", "for", "odd", "yes", "not", "all", "any", "one", "two", "six", "ten", "red", "day", "dog",
		"cat", "man", "men", "boy", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "win", "low", "new", "old", "bus",
		"car", "cup", "egg", "pen", "box", "net", "per", "are", "its", "was", "has", "his", "her", "who", "our", "can":
		return true
	}
	return false
}
