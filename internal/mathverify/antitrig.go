package mathverify

import "math/big"

// harmonic is one term coef * e^(i (k . u)) of a product of sines and cosines,
// k counting each distinct argument u.
type harmonic struct {
	re, im *big.Rat
	k      [2]int64
}

const maxHarmonics = 400

// antiTrig integrates whole powers of sines and cosines of at
// most two linear arguments by writing the product as a sum of harmonics.
func (e *evaluator) antiTrig(inner []*Node, v string) (*Node, bool) {
	one := big.NewRat(1, 1)
	sum := []harmonic{{one, new(big.Rat), [2]int64{}}}
	var args []*Node
	for _, n := range inner {
		f, times := n, int64(1)
		if n.Kind == KPow {
			k, ok := e.rationalConstant(n.Args[1], v)
			if !ok || !k.IsInt() || k.Sign() < 0 || k.Num().BitLen() > 5 {
				return nil, false
			}
			f, times = n.Args[0], k.Num().Int64()
		}
		if f.Kind != KFunc || f.Name != "sin" && f.Name != "cos" {
			return nil, false
		}
		if _, ok := linear(f.Args[0], v); !ok {
			return nil, false
		}
		at := -1
		for i, a := range args {
			if a.String() == f.Args[0].String() {
				at = i
			}
		}
		if at < 0 {
			if at = len(args); at == 2 {
				return nil, false
			}
			args = append(args, f.Args[0])
		}
		for ; times > 0; times-- {
			if e.b.spend(len(sum)) != nil || len(sum) > maxHarmonics {
				return nil, false
			}
			sum = timesCircular(sum, f.Name == "sin", at)
		}
	}
	var terms []*Node
	for _, h := range sum {
		t, ok := e.antiHarmonic(h, args, v)
		if !ok {
			return nil, false
		}
		terms = append(terms, t)
	}
	return node(KAdd, terms...), true
}

// timesCircular multiplies by cos u = (z + 1/z)/2 or sin u = (z - 1/z)/2i.
func timesCircular(sum []harmonic, sine bool, at int) []harmonic {
	half := big.NewRat(1, 2)
	var out []harmonic
	index := map[[2]int64]int{}
	put := func(k [2]int64, re, im *big.Rat) {
		if i, ok := index[k]; ok {
			out[i].re.Add(out[i].re, re)
			out[i].im.Add(out[i].im, im)
			return
		}
		index[k] = len(out)
		out = append(out, harmonic{re, im, k})
	}
	for _, h := range sum {
		for _, s := range []int64{1, -1} {
			k := h.k
			k[at] += s
			re, im := new(big.Rat).Mul(h.re, half), new(big.Rat).Mul(h.im, half)
			if sine { // times -i s
				sign := big.NewRat(s, 1)
				re, im = im.Mul(im, sign), re.Neg(re.Mul(re, sign))
			}
			put(k, re, im)
		}
	}
	return out
}

// antiHarmonic integrates the real part of the harmonic: the imaginary parts
// cancel in the sum.
func (e *evaluator) antiHarmonic(h harmonic, args []*Node, v string) (*Node, bool) {
	x := &Node{Kind: KSym, Name: v}
	if h.re.Sign() == 0 && h.im.Sign() == 0 {
		return num(0), true
	}
	var theta, slopes []*Node
	for i, a := range args {
		if h.k[i] == 0 {
			continue
		}
		s, _ := linear(a, v)
		theta = append(theta, node(KMul, num(h.k[i]), a))
		slopes = append(slopes, node(KMul, num(h.k[i]), s))
	}
	if len(theta) == 0 {
		return node(KMul, ratNode(h.re), x), true
	}
	t, s := node(KAdd, theta...), node(KAdd, slopes...)
	k, err := e.eval(s)
	if err != nil {
		return nil, false
	}
	real := node(KAdd, node(KMul, ratNode(h.re), fn("cos", t)), node(KMul, ratNode(new(big.Rat).Neg(h.im)), fn("sin", t)))
	if k.isZero() {
		return node(KMul, real, x), true
	}
	if c, ok := e.cmp(k, exactInt(0)); !ok || c == 0 {
		return nil, false // slopes too close to tell
	}
	// Re (a + ib)(e^(i t))/(i s) = (a sin t + b cos t)/s
	var parts []*Node
	if h.re.Sign() != 0 {
		parts = append(parts, node(KMul, ratNode(h.re), fn("sin", t)))
	}
	if h.im.Sign() != 0 {
		parts = append(parts, node(KMul, ratNode(h.im), fn("cos", t)))
	}
	return node(KDiv, node(KAdd, parts...), s), true
}
