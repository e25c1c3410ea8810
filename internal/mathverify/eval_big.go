package mathverify

// uncomputed reports an integral, a limit, a derivative or an endless sum or
// product in n. Such expressions are read but never evaluated.
func uncomputed(n *Node) bool {
	return !n.walk(func(m *Node) bool {
		return m.Kind != KBig || (m.Name == "sum" || m.Name == "prod") && infinite(m.Args[2]) == 0 && infinite(m.Args[3]) == 0
	})
}

var notEvaluated = unknown("integrals, limits, derivatives and infinite sums are not evaluated")

// maxTerms is the most terms that a sum or product may have.
const maxTerms = 20000

// big evaluates finite sums and products term by term.
func (e *evaluator) big(n *Node) (value, error) {
	if n.Name != "sum" && n.Name != "prod" {
		return value{}, errNoValue
	}
	from, err := e.eval(n.Args[2])
	if err != nil {
		return value{}, err
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
	if b > a && uint64(b-a) >= maxTerms {
		return value{}, errBudget
	}
	acc, f := exactInt(0), e.add
	if n.Name == "prod" {
		acc, f = exactInt(1), e.mul
	}
	if e.env == nil {
		e.env = map[string]value{}
	}
	index := n.Args[1].Name
	outer, shadowed := e.env[index]
	defer func() {
		delete(e.env, index)
		if shadowed {
			e.env[index] = outer
		}
	}()
	for k := a; k <= b; k++ {
		e.env[index] = exactInt(k)
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		acc = f(acc, v)
	}
	return acc, nil
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
