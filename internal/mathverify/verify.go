package mathverify

import (
	"strconv"
	"strings"
)

// Verify compares a prediction with a gold answer. It never panics and always
// returns within the budget of opt; see Options for the policies.
func Verify(gold, pred string, opt Options) (r Result) {
	defer func() {
		// The fuzz tests run without this guard. It keeps a mistake here from
		// ending a run that grades millions of model outputs.
		if e := recover(); e != nil {
			r = unknown("internal error: %v", e)
		}
	}()
	return verify(gold, pred, opt)
}

func verify(gold, pred string, opt Options) Result {
	g, p := clean(plainDigits(gold)), clean(plainDigits(pred))
	if p == "" {
		return different("empty prediction")
	}
	if g == p {
		return Result{Verdict: Equal, Reason: "same text", Gold: g, Pred: p}
	}
	if plainInt(g) && plainInt(p) {
		if trimInt(g) == trimInt(p) {
			return Result{Verdict: Equal, Reason: "same integer", Gold: g, Pred: p}
		}
		if opt.Tolerance == 0 {
			return Result{Verdict: Different, Reason: "different integers", Gold: g, Pred: p}
		}
	}
	if a, b := optionLetter(g), optionLetter(p); a != 0 && b != 0 && len(g) != len(p) {
		if a == b {
			return Result{Verdict: Equal, Reason: "same option letter", Gold: g, Pred: p}
		}
		return Result{Verdict: Different, Reason: "different option letters", Gold: g, Pred: p}
	}
	ga, gerr := readings(boxList(dropQualifiers(g)))
	pa, perr := readings(boxList(dropQualifiers(p)))
	if gerr == nil && perr == nil {
		pa = decimalComma(ga[0], pa, p)
	}
	if n, ok := strings.CutSuffix(p, "!"); ok && plainNumber(n) && perr == nil {
		if m, err := Parse(n); err == nil {
			pa = append(pa, m) // the mark that ends a sentence
		}
	}
	if gerr != nil || perr != nil {
		if flat(g) == flat(p) {
			return equal("same text up to spacing")
		}
		err := perr
		side := "prediction"
		if gerr != nil {
			err, side = gerr, "gold"
		}
		r := unknown("cannot read the %s: %v", side, err)
		if gerr == nil {
			r.Gold = ga[0].String()
		}
		if perr == nil {
			r.Pred = pa[0].String()
		}
		return r
	}
	b := newBudget(opt)
	var first Result
	for i, x := range ga {
		for j, y := range pa {
			c := &comparer{opt: opt, b: b}
			r := c.compare(x, y)
			r.Gold, r.Pred = x.String(), y.String()
			if r.Verdict == Equal {
				return r
			}
			if i+j == 0 {
				first = r
			}
		}
	}
	return first
}

// readings parses s and, where a comma is ambiguous, its other reading: "1,234"
// is a number or a list.
func readings(s string) ([]*Node, error) {
	n, err := Parse(s)
	if err != nil {
		return nil, err
	}
	out := []*Node{n}
	if len(s) <= 32 && strings.Contains(s, ",") && !strings.ContainsAny(s, "\\([{") && n.Kind != KList {
		if m, err := Parse(strings.ReplaceAll(s, ",", " , ")); err == nil && m.Kind == KList {
			out = append(out, m)
		}
	}
	return out, nil
}

// decimalComma adds the reading of "1000,99" as a decimal where the gold is a
// decimal too; against anything else two numbers are two numbers.
func decimalComma(gold *Node, pred []*Node, s string) []*Node {
	if gold.Kind != KNum || gold.Dec == 0 || pred[0].Kind != KList || strings.Count(s, ",") != 1 ||
		strings.Contains(s, ", ") || strings.ContainsAny(s, "\\([{") {
		return pred
	}
	alt := strings.Replace(strings.ReplaceAll(s, ".", ""), ",", ".", 1)
	if m, err := Parse(alt); err == nil && len(m.Args) == 0 {
		pred = append(pred, m)
	}
	return pred
}

// clean strips what surrounds an answer without being part of it.
func clean(s string) string {
	s = strings.TrimSpace(s)
	for {
		t := s
		for _, w := range [][2]string{{"$$", "$$"}, {"$", "$"}, {`\(`, `\)`}, {`\[`, `\]`}, {"**", "**"}, {"`", "`"}} {
			if len(t) > len(w[0])+len(w[1]) && strings.HasPrefix(t, w[0]) && strings.HasSuffix(t, w[1]) &&
				!strings.Contains(t[len(w[0]):len(t)-len(w[1])], w[0]) {
				t = strings.TrimSpace(t[len(w[0]) : len(t)-len(w[1])])
			}
		}
		for strings.HasSuffix(t, ".") && !goesOn(t) || strings.HasSuffix(t, ",") || strings.HasSuffix(t, "\\") && len(t) > 1 {
			t = strings.TrimSpace(t[:len(t)-1])
		}
		if t == s || t == "" {
			return t
		}
		s = t
	}
}

func flat(s string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "\\left", "", "\\right", "", "\\!", "", "\\,", "", "$", "").Replace(s))
}

// optionLetter is the letter, in small, of an option such as (b) or B; 0 for other
// answers.
func optionLetter(s string) byte {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "("), ")")
	if len(s) != 1 || s[0]|0x20 < 'a' || s[0]|0x20 > 'h' {
		return 0
	}
	return s[0] | 0x20
}

// goesOn reports a decimal fraction that ends in dots: 0.333...
func goesOn(s string) bool {
	t := strings.TrimRight(s, ".")
	n := strings.TrimRight(t, "0123456789")
	return len(s)-len(t) >= 3 && len(n) < len(t) && strings.HasSuffix(n, ".")
}

// plainNumber reports an integer or decimal in digits.
func plainNumber(s string) bool {
	whole, frac, point := strings.Cut(s, ".")
	return plainInt(whole) && (!point || plainInt("+"+frac))
}

func plainInt(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func trimInt(s string) string {
	neg := s[0] == '-'
	s = strings.TrimLeft(s, "+-")
	s = strings.TrimLeft(s, "0")
	if s == "" {
		return "0"
	}
	if neg {
		return "-" + s
	}
	return s
}

// comparer carries the state of one comparison.
type comparer struct {
	opt   Options
	b     *budget
	log10 bool
	prod  bool
	depth int
}

// compare tries the readings that depend on both sides: \log as natural or
// decimal logarithm, f(x) as application or product.
func (c *comparer) compare(g, p *Node) Result {
	g, p = dropSigns(g, p), dropSigns(p, g)
	g, p = resolveUnits(g, p), resolveUnits(p, g)
	g, p = unitFactors(g, p), unitFactors(p, g)
	g, p = simplifyMatrices(g), simplifyMatrices(p)
	g, p = imaginaryUnit(g, p), imaginaryUnit(p, g)
	g, p = parameters(g, p)
	g, p = vectorForm(g, p), vectorForm(p, g)
	r := c.nodes(g, p)
	if r.Verdict == Equal {
		return r
	}
	if r.Verdict == Different && (uncomputed(g) || uncomputed(p)) {
		r = notEvaluated // what looks different may have the same value
	}
	if r.Verdict == Unknown && g.has(KBig) && p.has(KBig) && renameBound(g, 0).String() == renameBound(p, 0).String() {
		return equal("same expression up to the names of bound variables")
	}
	bareLog := func(n *Node) bool {
		return !n.walk(func(m *Node) bool { return !(m.Kind == KFunc && m.Name == "log") })
	}
	if bareLog(g) || bareLog(p) {
		c.log10 = true
		if s := c.nodes(g, p); s.Verdict == Equal {
			s.Reason = "with \\log to base 10: " + s.Reason
			return s
		}
		c.log10 = false
	}
	if g.has(KApp) || p.has(KApp) {
		c.prod = true
		if s := c.nodes(g, p); s.Verdict == Equal {
			s.Reason = "reading f(x) as a product: " + s.Reason
			return s
		}
	}
	return r
}

// nodes compares two trees of any kind.
func (c *comparer) nodes(g, p *Node) Result {
	gn, pn := g.size(), p.size()
	if err := c.b.spend(2 + (gn+pn)/4); err != nil {
		return unknown("%v", err)
	}
	if c.depth++; c.depth > maxDepth {
		return unknown("nested too deeply")
	}
	defer func() { c.depth-- }()
	if g == p || gn == pn && gn < 4000 && g.String() == p.String() {
		return equal("same expression")
	}
	if (g.Kind == KRel) != (p.Kind == KRel) {
		rel, set := g, p
		if p.Kind == KRel {
			rel, set = p, g
		}
		if r, ok := c.trivial(rel, set); ok {
			return r
		}
	}
	g, p = mergeUnits(settle(g)), mergeUnits(settle(p))
	if g.Kind == KText && (p.Kind == KList || p.Kind == KSet) {
		g = splitText(g)
	} else if p.Kind == KText && (g.Kind == KList || g.Kind == KSet) {
		p = splitText(p)
	}
	switch {
	case g.Kind == KText || p.Kind == KText:
		return compareText(g, p)
	case g.Kind == KRel || p.Kind == KRel || isRelList(g) || isRelList(p):
		return c.relations(g, p)
	}
	return c.collections(g, p)
}

// settle reduces chains: an approximation keeps its exact side, a chain of
// equations its ends, a closed computation its result.
func settle(n *Node) *Node {
	if n.Kind != KRel {
		return n
	}
	args, ops := n.Args, n.Ops
	for i, op := range ops {
		if op == "~" {
			if i == 0 && (nameLike(args[0]) || len(args[0].Args) == 0) {
				ops = append([]string{"="}, ops[1:]...)
				continue
			}
			args, ops = args[:i+1], ops[:i]
			break
		}
	}
	if len(ops) == 0 {
		return args[0]
	}
	allEq := true
	for _, op := range ops {
		allEq = allEq && op == "="
	}
	if allEq {
		last := args[len(args)-1]
		if len(args) > 2 {
			if nameLike(args[0]) {
				return &Node{Kind: KRel, Args: []*Node{args[0], last}, Ops: []string{"="}}
			}
			return last
		}
		if computes(args[0]) && closed(last) {
			return last
		}
	}
	return &Node{Kind: KRel, Args: args, Ops: ops}
}

// closed reports a number without free symbols and words.
func closed(n *Node) bool {
	return (scalarKind(n) || n.Kind == KBig) && !symbolic(n) && n.walk(func(m *Node) bool { return m.Kind != KText && m.Kind != KApp })
}

// computes reports an expression with a value to compute: 5 + 3, a sum, a limit, a
// determinant. A lone number or constant computes nothing: 0 = 0, e = 2.718.
func computes(n *Node) bool { return closed(n) && n.Kind != KConst && n.Kind != KNum }

// nameLike reports a left side that names the answer: x, y_1, f(x), |AB|,
// V_1 : V_2, (p, q), \frac{NO}{BO}, Area.
func nameLike(n *Node) bool {
	switch n.Kind {
	case KSym, KText:
		return true
	case KApp:
		return true
	case KFunc:
		return n.Name == "abs" && nameLike(n.Args[0])
	case KMul:
		for _, a := range n.Args {
			if a.Kind != KSym || a.Name[0] < 'A' || a.Name[0] > 'Z' {
				return false
			}
		}
		return true
	case KDiv, KRatio, KTuple:
		for _, a := range n.Args {
			if !nameLike(a) {
				return false
			}
		}
		return true
	}
	return false
}

// dropSigns takes currency signs away where the other side has no unit.
func dropSigns(n, other *Node) *Node {
	if !n.has(KUnit) || other.has(KUnit) || other.has(KDegree) || other.has(KPercent) {
		return n
	}
	return n.rewrite(func(m *Node) *Node {
		if m.Kind == KUnit && m.sign {
			return m.Args[0]
		}
		return m
	})
}

// resolveUnits turns a doubtful unit letter ("5 m") into a factor when the
// other side uses that letter as a symbol.
func resolveUnits(n, other *Node) *Node {
	if !n.has(KUnit) {
		return n
	}
	return n.rewrite(func(m *Node) *Node {
		if m.Kind != KUnit || !m.loose {
			return m
		}
		name := m.Name
		var exp *Node
		if i := strings.IndexByte(name, '^'); i > 0 {
			if e, err := parseNumber(name[i+1:]); err == nil {
				exp, name = e, name[:i]
			}
		}
		if other.walk(func(o *Node) bool { return !(o.Kind == KSym && o.Name == name) }) {
			return m
		}
		s := &Node{Kind: KSym, Name: name}
		if exp != nil {
			s = node(KPow, s, exp)
		}
		return node(KMul, m.Args[0], s)
	})
}

// renameBound gives the variables of sums, products, integrals and limits names
// that depend only on how deep they stand.
func renameBound(n *Node, depth int) *Node {
	if n.Kind == KBig && n.Name != "diff" && n.Args[1].Kind == KSym {
		v := &Node{Kind: KSym, Name: "bound" + strconv.Itoa(depth)}
		args := append([]*Node(nil), n.Args...)
		args[0] = args[0].rewrite(func(m *Node) *Node {
			if m.Kind == KSym && m.Name == n.Args[1].Name {
				return v
			}
			return m
		})
		args[1] = v
		n = n.with(args...)
	}
	args := make([]*Node, len(n.Args))
	for i, a := range n.Args {
		args[i] = renameBound(a, depth+1)
	}
	return n.with(args...)
}

// imaginaryUnit reads the symbol I as i, as computer algebra systems print it,
// when the other side uses i and no I, or has no symbols where I is the only one
// here.
func imaginaryUnit(n, other *Node) *Node {
	has := func(t *Node, k Kind, name string) bool {
		return !t.walk(func(m *Node) bool { return !(m.Kind == k && m.Name == name) })
	}
	if !has(n, KSym, "I") || has(other, KSym, "I") {
		return n
	}
	if !has(other, KConst, "i") {
		if n.Kind == KSym || len(freeSymbols(n)) > 1 || len(freeSymbols(other)) > 0 || !scalarKind(other) || !scalarKind(n) {
			return n
		}
	}
	return n.rewrite(func(m *Node) *Node {
		if m.Kind == KSym && m.Name == "I" {
			return &Node{Kind: KConst, Name: "i"}
		}
		return m
	})
}
