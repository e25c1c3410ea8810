package mathverify

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Base quantities of the dimensions. Every currency is one of its own, and a year
// is not 365 days.
const (
	dLength = iota
	dMass
	dTime
	dCurrent
	dHeat
	dAmount
	dLight
	dAngle
	dYear
	dByte
	dDollar
	dEuro
	dPound
	dYen
	dRupee
	dYuan
	dimensions
)

// dimension holds the exponents of the base quantities.
type dimension [dimensions]int8

// money reports an amount of one currency.
func (d dimension) money() bool {
	for i := dDollar; i < dimensions; i++ {
		if d[i] == 1 {
			return true
		}
	}
	return false
}

// unitInfo is a known unit: its dimension, its size in the base unit of that
// dimension, and the value of its zero there (0 except for temperatures).
type unitInfo struct {
	dim          dimension
	factor, zero *big.Rat
}

// unitLetters are the letters that are units after a number and a space, even
// where the other side has no unit.
var unitLetters = map[string]bool{"m": true, "g": true, "s": true, "L": true, "l": true, "h": true, "J": true,
	"N": true, "W": true, "V": true}

var currencySigns = map[string]string{"\\$": "dollars", "€": "euros", "£": "pounds sterling", "¥": "yen", "₹": "rupees"}

// currencyCodes stand before an amount.
var currencyCodes = map[string]string{"USD": "dollars", "EUR": "euros", "GBP": "pounds sterling", "JPY": "yen",
	"INR": "rupees", "Rs": "rupees", "CNY": "yuan", "RMB": "yuan"}

// units maps names and symbols to units; prefixed holds those that take a
// prefix, symbols and names apart.
var units = buildUnits()

type unitTables struct {
	all                            map[string]unitInfo
	prefixedSymbols, prefixedNames map[string]bool
}

var prefixSymbols = map[string]int{"p": -12, "n": -9, "u": -6, "mu": -6, "m": -3, "c": -2, "d": -1, "h": 2, "k": 3, "M": 6, "G": 9, "T": 12}
var prefixNames = map[string]int{"pico": -12, "nano": -9, "micro": -6, "milli": -3, "centi": -2, "deci": -1, "deca": 1,
	"hecto": 2, "kilo": 3, "mega": 6, "giga": 9, "tera": 12}

func buildUnits() unitTables {
	t := unitTables{map[string]unitInfo{}, map[string]bool{}, map[string]bool{}}
	rat := func(s string) *big.Rat {
		r, _ := new(big.Rat).SetString(s)
		return r
	}
	dim := func(pairs ...int) (d dimension) {
		for i := 0; i < len(pairs); i += 2 {
			d[pairs[i]] = int8(pairs[i+1])
		}
		return d
	}
	// The first word of SI units is the symbol, the others are names.
	si := func(d dimension, factor, words string) {
		for i, w := range strings.Fields(words) {
			t.all[w] = unitInfo{dim: d, factor: rat(factor)}
			if i == 0 {
				t.prefixedSymbols[w] = true
			} else {
				t.prefixedNames[w] = true
			}
		}
	}
	other := func(d dimension, factor, words string) {
		for _, w := range strings.Split(words, ",") {
			t.all[w] = unitInfo{dim: d, factor: rat(factor)}
		}
	}
	force, energy, power := dim(dMass, 1, dLength, 1, dTime, -2), dim(dMass, 1, dLength, 2, dTime, -2), dim(dMass, 1, dLength, 2, dTime, -3)
	pressure := dim(dMass, 1, dLength, -1, dTime, -2)
	length, area, volume, mass, time := dim(dLength, 1), dim(dLength, 2), dim(dLength, 3), dim(dMass, 1), dim(dTime, 1)
	si(length, "1", "m meter meters metre metres")
	si(mass, "1/1000", "g gram grams gramme grammes")
	si(time, "1", "s second seconds sec secs")
	si(dim(dCurrent, 1), "1", "A ampere amperes amp amps")
	si(dim(dAmount, 1), "1", "mol mole moles")
	si(dim(dLight, 1), "1", "cd candela candelas")
	si(dim(dTime, -1), "1", "Hz hertz")
	si(force, "1", "N newton newtons")
	si(pressure, "1", "Pa pascal pascals")
	si(energy, "1", "J joule joules")
	si(power, "1", "W watt watts")
	si(dim(dTime, 1, dCurrent, 1), "1", "C coulomb coulombs")
	si(dim(dMass, 1, dLength, 2, dTime, -3, dCurrent, -1), "1", "V volt volts")
	si(dim(dMass, 1, dLength, 2, dTime, -3, dCurrent, -2), "1", "ohm ohm ohms")
	si(dim(dMass, -1, dLength, -2, dTime, 4, dCurrent, 2), "1", "F farad farads")
	si(dim(dMass, 1, dTime, -2, dCurrent, -1), "1", "T tesla teslas")
	si(dim(dMass, 1, dLength, 2, dTime, -2, dCurrent, -2), "1", "H henry henries henrys")
	si(volume, "1/1000", "L liter liters litre litres")
	si(volume, "1/1000", "l")
	si(energy, "1.602176634e-19", "eV electronvolt electronvolts")
	si(energy, "4.184", "cal calorie calories")
	si(energy, "3600", "Wh watthour watthours")
	si(pressure, "100000", "bar")
	si(dim(dByte, 1), "1", "byte byte bytes")
	si(dim(dByte, 1), "1/8", "bit bit bits")
	si(dim(dAngle, 1), "1", "rad radian radians")
	for k, f := range map[string]string{"k": "1e3", "K": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"} {
		other(dim(dByte, 1), f, k+"B")
	}
	other(dim(dHeat, 1), "1", "K,kelvin,kelvins")
	other(mass, "1", "kilo,kilos,kgs")
	other(length, "1000", "kms")
	other(length, "0.0254", "inch,inches,in")
	other(length, "0.3048", "ft,foot,feet")
	other(length, "0.9144", "yd,yds,yard,yards")
	other(length, "1609.344", "mi,mile,miles")
	other(length, "1852", "nautical mile,nautical miles")
	other(area, "10000", "ha,hectare,hectares")
	other(area, "4046.8564224", "acre,acres")
	other(mass, "1000", "tonne,tonnes,metric ton,metric tons")
	other(mass, "907.18474", "ton,tons")
	other(mass, "0.45359237", "lb,lbs,pound,pounds")
	other(mass, "0.028349523125", "oz,ounce,ounces")
	other(time, "60", "min,mins,minute,minutes")
	other(time, "3600", "h,hr,hrs,hour,hours")
	other(time, "86400", "day,days")
	other(time, "604800", "week,weeks,wk,wks")
	other(dim(dYear, 1), "1/12", "month,months")
	other(dim(dYear, 1), "1", "year,years,yr,yrs")
	other(dim(dYear, 1), "10", "decade,decades")
	other(dim(dYear, 1), "100", "century,centuries")
	other(volume, "0.000001", "cc")
	other(volume, "0.003785411784", "gal,gals,gallon,gallons")
	other(volume, "0.000946352946", "qt,qts,quart,quarts")
	other(volume, "0.000473176473", "pt,pint,pints")
	other(volume, "0.0002365882365", "cup,cups")
	other(volume, "0.0000295735295625", "fl oz,fluid ounce,fluid ounces")
	other(volume, "0.00001478676478125", "tbsp,tablespoon,tablespoons")
	other(volume, "0.00000492892159375", "tsp,teaspoon,teaspoons")
	other(dim(dLength, 1, dTime, -1), "5/18", "kmh,kph,kmph")
	other(dim(dLength, 1, dTime, -1), "0.44704", "mph")
	other(pressure, "101325", "atm,atmosphere,atmospheres")
	other(dim(dDollar, 1), "1", "dollar,dollars,usd,US dollars,U.S. dollars")
	other(dim(dDollar, 1), "1/100", "cent,cents,penny,pennies,¢")
	other(dim(dEuro, 1), "1", "euro,euros,eur")
	other(dim(dPound, 1), "1", "pounds sterling,gbp")
	other(dim(dPound, 1), "1/100", "pence")
	other(dim(dYen, 1), "1", "yen,jpy")
	other(dim(dRupee, 1), "1", "rupee,rupees,inr,Rs")
	other(dim(dYuan, 1), "1", "yuan,cny,rmb")
	c := unitInfo{dim: dim(dHeat, 1), factor: rat("1"), zero: rat("273.15")}
	f := unitInfo{dim: dim(dHeat, 1), factor: rat("5/9"), zero: rat("45967/180")}
	for _, w := range []string{"degC", "celsius"} {
		t.all[w] = c
	}
	for _, w := range []string{"degF", "fahrenheit"} {
		t.all[w] = f
	}
	for k, u := range t.all {
		if u.zero == nil {
			u.zero = new(big.Rat)
			u.factor = new(big.Rat).Set(u.factor)
			t.all[k] = u
		}
	}
	return t
}

// oneUnit finds a unit by its symbol or name, prefix included.
func oneUnit(s string) (unitInfo, bool) {
	t := units
	if u, ok := t.all[s]; ok {
		return u, true
	}
	for n := 2; n >= 1; n-- {
		if len(s) > n && t.prefixedSymbols[s[n:]] && prefixSymbols[s[:n]] != 0 {
			return scaled(t.all[s[n:]], prefixSymbols[s[:n]]), true
		}
	}
	low := strings.ToLower(s)
	if u, ok := t.all[low]; ok && len(s) > 1 {
		return u, true
	}
	for n := min(len(low)-1, 5); n >= 4; n-- {
		if t.prefixedNames[low[n:]] && prefixNames[low[:n]] != 0 {
			return scaled(t.all[low[n:]], prefixNames[low[:n]]), true
		}
	}
	switch low { // written in capitals
	case "kg", "mg", "km", "cm", "mm", "ml", "kw":
		if low != s {
			return oneUnit(low)
		}
	}
	return unitInfo{}, false
}

func scaled(u unitInfo, exp int) unitInfo {
	f := new(big.Rat)
	if exp < 0 {
		f.SetFrac(big.NewInt(1), pow10(-exp))
	} else {
		f.SetInt(pow10(exp))
	}
	u.factor = f.Mul(f, u.factor)
	return u
}

// adjectives may stand before a unit without changing it.
var adjectives = []string{"full", "whole", "more", "extra", "additional", "total", "american"}

// parseUnit resolves a unit text such as "cm^2", "square meters", "miles per
// hour", "kg m/s^2"; everything after a slash divides. Words after the unit ("5
// meters long") do not count. ok is false for nouns and anything else that is not
// known.
func parseUnit(s string) (unitInfo, bool) {
	if u, ok := units.all[s]; ok {
		return u, true
	}
	if len(s) > 80 {
		return unitInfo{}, false
	}
	s = strings.NewReplacer("/", " / ", "*", " ", " per ", " / ", "(", " ", ")", " ").Replace(s)
	f := strings.Fields(s)
	for len(f) > 1 && slices.Contains(adjectives, strings.ToLower(f[0])) {
		f = f[1:]
	}
	if len(f) > 1 && f[0] == "in" {
		if _, ok := oneUnit(f[1]); !ok && f[1] != "/" {
			return unitInfo{}, false // "5 in total"
		}
	}
	out := unitInfo{factor: big.NewRat(1, 1), zero: new(big.Rat)}
	sign, found := 1, 0
	for i := 0; i < len(f); i++ {
		if f[i] == "/" {
			if found == 0 {
				return unitInfo{}, false
			}
			sign = -1
			continue
		}
		exp := sign
		switch strings.ToLower(strings.TrimSuffix(f[i], ".")) {
		case "square", "sq":
			exp *= 2
			i++
		case "cubic", "cu":
			exp *= 3
			i++
		}
		if i >= len(f) {
			break
		}
		word, power := f[i], 1
		if k := strings.IndexByte(word, '^'); k > 0 {
			n, err := strconv.Atoi(word[k+1:])
			if err != nil || n < -9 || n > 9 || n == 0 {
				break
			}
			word, power = word[:k], n
		}
		u, ok := unitInfo{}, false
		if i+1 < len(f) {
			if u, ok = units.all[word+" "+f[i+1]]; ok {
				i++
			}
		}
		if !ok {
			if u, ok = oneUnit(word); !ok {
				u, ok = oneUnit(strings.TrimSuffix(word, "."))
			}
		}
		if !ok {
			break
		}
		if i+1 < len(f) && (f[i+1] == "squared" || f[i+1] == "cubed") {
			power *= map[string]int{"squared": 2, "cubed": 3}[f[i+1]]
			i++
		}
		exp *= power
		found++
		if found == 1 && exp == 1 {
			out.zero = u.zero
		} else {
			out.zero = new(big.Rat)
		}
		for k := range out.dim {
			out.dim[k] += u.dim[k] * int8(exp)
		}
		for k := exp; k != 0; {
			if k > 0 {
				out.factor = new(big.Rat).Mul(out.factor, u.factor)
				k--
			} else {
				out.factor = new(big.Rat).Quo(out.factor, u.factor)
				k++
			}
		}
	}
	return out, found > 0
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

// convert writes the amount n of unit from in unit to.
func convert(n *Node, from, to unitInfo) *Node {
	ratio := new(big.Rat).Quo(from.factor, to.factor)
	shift := new(big.Rat).Sub(from.zero, to.zero)
	shift.Quo(shift, to.factor)
	if n.Kind == KNum {
		v := new(big.Rat).Mul(n.Rat, ratio)
		return ratNode(v.Add(v, shift))
	}
	n = node(KMul, n, ratNode(ratio))
	if shift.Sign() != 0 {
		n = node(KAdd, n, ratNode(shift))
	}
	return n
}

// unitPolicy compares quantities of which one at least has a unit or noun.
func (c *comparer) unitPolicy(g, p *Node) Result {
	gu, pu := g.Kind == KUnit, p.Kind == KUnit
	if gu != pu {
		if c.opt.Units == UnitsStrict {
			return different("only one side has a unit")
		}
		r := c.scalars(stripUnit(g), stripUnit(p))
		if r.Verdict == Equal {
			r.Reason = "unit left out: " + r.Reason
		}
		return r
	}
	a, ok1 := parseUnit(g.Name)
	b, ok2 := parseUnit(p.Name)
	if c.opt.Units == UnitsIgnore || !ok1 || !ok2 {
		return c.scalars(g.Args[0], p.Args[0])
	}
	if a.dim != b.dim {
		a, b = poundsOfMoney(a, b, g.Name), poundsOfMoney(b, a, p.Name)
	}
	switch {
	case a.dim != b.dim:
		return different("units of different kinds: %s and %s", g.Name, p.Name)
	case a.factor.Cmp(b.factor) == 0 && a.zero.Cmp(b.zero) == 0:
		return c.scalars(g.Args[0], p.Args[0])
	}
	r := c.scalars(g.Args[0], convert(p.Args[0], b, a))
	if lit, ok := decimalLiteral(p.Args[0]); ok && r.Verdict == Different && c.opt.predDigits() >= 0 && lit.Sig >= c.opt.predDigits() &&
		c.rounds(convert(g.Args[0], a, b), lit, true) {
		return equal("equal to the digits stated, after conversion")
	}
	return r
}

// poundsOfMoney reads "pounds" as money, and "cents" as those of a euro, where the
// other side is in that currency.
func poundsOfMoney(u, other unitInfo, name string) unitInfo {
	word, _, _ := strings.Cut(name, " ")
	switch {
	case (word == "pound" || word == "pounds") && other.dim[dPound] == 1:
		return units.all["gbp"]
	case (word == "cent" || word == "cents") && other.dim[dEuro] == 1:
		u.dim = other.dim
	}
	return u
}

// unitFactors turns a product with units as factors into a quantity where the
// other side has a unit: 5 A, 9.8 \frac{m}{s^2}.
func unitFactors(n, other *Node) *Node {
	if n.Kind != KMul && n.Kind != KDiv || !other.has(KUnit) && !n.has(KText) {
		return n
	}
	var numbers []*Node
	var name strings.Builder
	var visit func(n *Node, sign int) bool
	visit = func(n *Node, sign int) bool {
		switch n.Kind {
		case KMul:
			for _, a := range n.Args {
				if !visit(a, sign) {
					return false
				}
			}
			return true
		case KDiv:
			return visit(n.Args[0], sign) && visit(n.Args[1], -sign)
		case KUnit:
			numbers = append(numbers, n.Args[0])
			name.WriteString(n.Name + " ")
			return sign > 0 && !strings.Contains(n.Name, "/")
		case KSym, KText, KPow:
			base, exp := n, 1
			if n.Kind == KPow {
				base = n.Args[0]
				if n.Args[1].Kind != KNum || !n.Args[1].Rat.IsInt() || !n.Args[1].Rat.Num().IsInt64() {
					break
				}
				exp = int(n.Args[1].Rat.Num().Int64())
			}
			if _, ok := oneUnit(base.Name); ok && (base.Kind == KSym || base.Kind == KText) {
				name.WriteString(base.Name + "^" + strconv.Itoa(sign*exp) + " ")
				return true
			}
		}
		if sign > 0 && n.quantity() {
			numbers = append(numbers, n)
			return true
		}
		return false
	}
	if !visit(n, 1) || len(numbers) != 1 || name.Len() == 0 {
		return n
	}
	if _, ok := parseUnit(name.String()); !ok {
		return n
	}
	return &Node{Kind: KUnit, Name: strings.TrimSpace(name.String()), Args: numbers}
}
