package mathverify

import "math/big"

// Functions with steps (piecewise definitions, floor, sign, maximum) may agree
// at random points and differ at or near a step, so their steps are visited.

// stepped reports a function with steps that depends on a symbol.
func stepped(n *Node) bool {
	return !n.walk(func(m *Node) bool {
		switch {
		case m.Kind == KCases:
			return false
		case m.Kind == KFunc:
			switch m.Name {
			case "floor", "ceil", "round", "sgn", "max", "min", "mod":
				return !symbolic(m)
			}
		}
		return true
	})
}

// steppedPoints compares at integers, at the constants of the conditions, close
// to them on both sides, and between them.
func (c *comparer) steppedPoints(g, p *Node, syms []string) Result {
	if len(syms) != 1 {
		return c.steppedGrid(g, p, syms)
	}
	points := []*big.Rat{}
	for k := int64(-3); k <= 4; k++ {
		points = append(points, big.NewRat(k, 1))
	}
	for _, n := range []*Node{g, p} {
		n.walk(func(m *Node) bool {
			if m.Kind != KRel && !(m.Kind == KFunc && (m.Name == "max" || m.Name == "min")) {
				return true
			}
			for _, a := range m.Args {
				if r, ok := c.rational(a); ok {
					points = append(points, r)
				} else if !symbolic(a) {
					if v, err := c.evaluator(96, nil).eval(a); err == nil && v.real && !v.exact {
						if x, _ := v.ri.mid(96).Rat(nil); x != nil {
							points = append(points, x)
						}
					}
				}
			}
			return true
		})
	}
	if len(points) > 40 {
		points = points[:40]
	}
	seen := 0
	for i, x := range points {
		near := []*big.Rat{x, new(big.Rat).Add(x, big.NewRat(1, 997)), new(big.Rat).Sub(x, big.NewRat(1, 997))}
		if i > 0 {
			m := new(big.Rat).Add(x, points[i-1])
			near = append(near, m.Quo(m, big.NewRat(2, 1)))
		}
		for _, y := range near {
			s, _, err := c.atPoint(g, p, map[string]value{syms[0]: exactRat(y)})
			if err != nil {
				continue
			}
			if s == apart {
				return different("values differ at a step or near it")
			}
			seen++
		}
	}
	if seen == 0 {
		return unknown("no value near the steps")
	}
	return equal("values agree at the steps")
}

// steppedGrid compares at a grid of points in several symbols, where every
// order of the symbols and every sign occurs.
func (c *comparer) steppedGrid(g, p *Node, syms []string) Result {
	if len(syms) > 3 {
		return unknown("a function with steps has more than three symbols")
	}
	grid := []*big.Rat{big.NewRat(-3, 1), big.NewRat(-1, 2), new(big.Rat), big.NewRat(1, 1), big.NewRat(5, 2)}
	total := 1
	for range syms {
		total *= len(grid)
	}
	seen := 0
	for i := 0; i < total; i++ {
		env, k := map[string]value{}, i
		for j, s := range syms {
			x := new(big.Rat).Add(grid[k%len(grid)], big.NewRat(int64(j*(i%2)), 97)) // ties at every other point
			env[s] = exactRat(x)
			k /= len(grid)
		}
		s, _, err := c.atPoint(g, p, env)
		if err != nil {
			continue
		}
		if s == apart {
			return different("values differ at a point near the steps")
		}
		seen++
	}
	if seen < total/4 {
		return unknown("too few values near the steps")
	}
	return equal("values agree at %d points near the steps", seen)
}
