package mathverify

import (
	"math/big"
	"strconv"
	"strings"
)

// unitInfo is a known unit: its dimension and its size in the base unit of
// that dimension.
type unitInfo struct {
	dim    string
	factor *big.Rat
}

var unitLetters = map[string]bool{"m": true, "g": true, "s": true, "L": true, "l": true, "h": true, "J": true,
	"N": true, "W": true, "V": true}

var units = buildUnits()

func buildUnits() map[string]unitInfo {
	m := map[string]unitInfo{}
	add := func(dim string, a, b int64, names ...string) {
		for _, n := range names {
			m[n] = unitInfo{dim, big.NewRat(a, b)}
		}
	}
	add("L", 1, 1, "m", "meter", "meters", "metre", "metres")
	add("L", 1, 100, "cm", "centimeter", "centimeters", "centimetre", "centimetres")
	add("L", 1, 1000, "mm", "millimeter", "millimeters", "millimetre", "millimetres")
	add("L", 1, 10, "dm", "decimeter", "decimeters")
	add("L", 1000, 1, "km", "kms", "kilometer", "kilometers", "kilometre", "kilometres")
	add("L", 254, 10000, "inch", "inches", "in")
	add("L", 3048, 10000, "ft", "foot", "feet")
	add("L", 9144, 10000, "yd", "yds", "yard", "yards")
	add("L", 1609344, 1000, "mi", "mile", "miles")
	add("M", 1, 1, "g", "gram", "grams")
	add("M", 1000, 1, "kg", "kgs", "kilogram", "kilograms", "kilo", "kilos")
	add("M", 1, 1000, "mg", "milligram", "milligrams")
	add("M", 1000000, 1, "tonne", "tonnes")
	add("M", 45359237, 100000, "lb", "lbs", "pound", "pounds")
	add("M", 45359237, 1600000, "oz", "ounce", "ounces")
	add("T", 1, 1, "s", "sec", "secs", "second", "seconds")
	add("T", 60, 1, "min", "mins", "minute", "minutes")
	add("T", 3600, 1, "h", "hr", "hrs", "hour", "hours")
	add("T", 86400, 1, "day", "days")
	add("T", 604800, 1, "week", "weeks")
	add("Y", 1, 12, "month", "months")
	add("Y", 1, 1, "year", "years", "yr", "yrs")
	add("L^3", 1, 1000, "L", "l", "liter", "liters", "litre", "litres")
	add("L^3", 1, 1000000, "mL", "ml", "milliliter", "milliliters", "cc")
	add("$", 1, 1, "dollar", "dollars", "usd", "USD", "euro", "euros", "pounds sterling")
	add("$", 1, 100, "cent", "cents", "penny", "pennies", "¢")
	add("L/T", 1000, 3600, "kmh", "kph", "km/h", "km/hr", "kmph")
	add("L/T", 1609344, 3600000, "mph")
	add("J", 1, 1, "J", "joule", "joules")
	add("J", 1000, 1, "kJ")
	add("N", 1, 1, "N", "newton", "newtons")
	add("W", 1, 1, "W", "watt", "watts")
	add("W", 1000, 1, "kW")
	return m
}

// parseUnit resolves a unit text such as "cm^2", "square meters", "miles per
// hour". ok is false for nouns and anything else that is not known.
func parseUnit(s string) (unitInfo, bool) {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	for _, p := range []string{" per ", "/"} {
		if i := strings.Index(s, p); i > 0 {
			a, ok1 := parseUnit(s[:i])
			b, ok2 := parseUnit(s[i+len(p):])
			if !ok1 || !ok2 {
				return unitInfo{}, false
			}
			return unitInfo{a.dim + "/" + b.dim, new(big.Rat).Quo(a.factor, b.factor)}, true
		}
	}
	exp := 1
	fields := strings.Fields(s)
	if len(fields) == 2 {
		switch strings.ToLower(fields[0]) {
		case "square", "sq", "sq.":
			exp = 2
			s = fields[1]
		case "cubic", "cu", "cu.":
			exp = 3
			s = fields[1]
		}
	}
	if i := strings.IndexByte(s, '^'); i > 0 {
		n, err := strconv.Atoi(s[i+1:])
		if err != nil || n < 1 || n > 9 {
			return unitInfo{}, false
		}
		exp = n
		s = strings.TrimSpace(s[:i])
	}
	u, ok := units[s]
	if !ok {
		if u, ok = units[strings.ToLower(s)]; !ok {
			return unitInfo{}, false
		}
	}
	if exp == 1 {
		return u, true
	}
	f := big.NewRat(1, 1)
	for i := 0; i < exp; i++ {
		f.Mul(f, u.factor)
	}
	return unitInfo{u.dim + "^" + strconv.Itoa(exp), f}, true
}

// mergeUnits adds up quantities in several units of one kind: "2 hours 30
// minutes", "5 dollars and 30 cents". The result is in the first unit.
func mergeUnits(n *Node) *Node {
	if n.Kind != KAdd && (n.Kind != KList || n.Name != "and") {
		return n
	}
	var first unitInfo
	terms := make([]*Node, len(n.Args))
	for i, a := range n.Args {
		if a.Kind != KUnit {
			return n
		}
		u, ok := parseUnit(a.Name)
		if !ok || i > 0 && u.dim != first.dim {
			return n
		}
		if i == 0 {
			first = u
		} else if u.factor.Cmp(first.factor) >= 0 && n.Kind == KList {
			return n // "5 cm and 5 m" are two answers
		}
		terms[i] = node(KDiv, node(KMul, a.Args[0], ratNode(u.factor)), ratNode(first.factor))
	}
	return &Node{Kind: KUnit, Name: n.Args[0].Name, Args: []*Node{node(KAdd, terms...)}}
}
