package mathverify

// big evaluates sums, products and derivatives. Integrals and limits are
// handled by the numeric rules in calculus.go.
func (e *evaluator) big(n *Node) (value, error) {
	switch n.Name {
	case "sum", "prod":
		return e.series(n)
	}
	return e.calculus(n)
}

const maxTerms = 20000

func (e *evaluator) series(n *Node) (value, error) {
	from, err := e.eval(n.Args[2])
	if err != nil {
		return value{}, err
	}
	if n.Args[3].Kind == KConst && n.Args[3].Name == "inf" {
		a, ok := from.small()
		if !ok || n.Name != "sum" {
			return value{}, errNoValue
		}
		return e.infiniteSum(n.Args[0], n.Args[1].Name, a)
	}
	to, err := e.eval(n.Args[3])
	if err != nil {
		return value{}, err
	}
	a, ok1 := from.small()
	b, ok2 := to.small()
	if !ok1 || !ok2 {
		return value{}, errNoValue
	}
	if b > a && uint64(b-a) > maxTerms {
		if n.Name == "sum" {
			return e.longSum(n.Args[0], n.Args[1].Name, a, b)
		}
		return value{}, errBudget
	}
	acc, f := exactInt(0), e.add
	if n.Name == "prod" {
		acc, f = exactInt(1), e.mul
	}
	name := n.Args[1].Name
	restore := e.bind(name)
	defer restore()
	for k := a; k <= b; k++ {
		e.env[name] = exactInt(k)
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		acc = f(acc, v)
	}
	return acc, nil
}

// bind prepares the environment for a bound variable and returns the undo.
func (e *evaluator) bind(name string) func() {
	if e.env == nil {
		e.env = map[string]value{}
	}
	old, had := e.env[name]
	return func() {
		if had {
			e.env[name] = old
		} else {
			delete(e.env, name)
		}
	}
}

// det is the determinant by fraction-free expansion along the first row; the
// budget bounds the factorial growth.
func (e *evaluator) det(n *Node) (value, error) {
	if n.Kind != KMatrix {
		return value{}, errNoValue
	}
	size := len(n.Args)
	m := make([][]value, size)
	for i, r := range n.Args {
		if len(r.Args) != size {
			return value{}, errUndefined
		}
		for _, c := range r.Args {
			v, err := e.eval(c)
			if err != nil {
				return value{}, err
			}
			m[i] = append(m[i], v)
		}
	}
	return e.minor(m)
}

func (e *evaluator) minor(m [][]value) (value, error) {
	if err := e.b.spend(len(m)); err != nil {
		return value{}, err
	}
	if len(m) == 1 {
		return m[0][0], nil
	}
	acc := exactInt(0)
	for j := range m {
		if m[0][j].isZero() {
			continue
		}
		sub := make([][]value, 0, len(m)-1)
		for _, r := range m[1:] {
			row := append(append([]value(nil), r[:j]...), r[j+1:]...)
			sub = append(sub, row)
		}
		d, err := e.minor(sub)
		if err != nil {
			return value{}, err
		}
		t := e.mul(m[0][j], d)
		if j%2 == 1 {
			t = e.neg(t)
		}
		acc = e.add(acc, t)
	}
	return acc, nil
}
