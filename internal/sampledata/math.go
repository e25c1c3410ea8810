package sampledata

import (
	"fmt"
	"math/rand/v2"
)

// mathRow follows MATH: LaTeX, a level and a type, and the answer only inside
// the \boxed of the solution.
func mathRow(r *rand.Rand, i int) row {
	kinds := []func(*rand.Rand) (question, solution, kind string, level int){
		fractionSum, linearEquation, rootSum, percentOf, greatestDivisor, committee,
		circleArea, simplifyRoot, inequality, midpoint,
	}
	q, s, kind, level := kinds[i%len(kinds)](r)
	return newRow(q).with("question", q).with("solution", s).
		with("level", fmt.Sprintf("Level %d", level)).with("type", kind)
}

// latexFraction writes n/d in lowest terms; d is positive.
func latexFraction(n, d int) string {
	g := gcd(max(n, -n), d)
	n, d = n/g, d/g
	switch {
	case d == 1:
		return fmt.Sprint(n)
	case n < 0:
		return fmt.Sprintf(`-\frac{%d}{%d}`, -n, d)
	}
	return fmt.Sprintf(`\frac{%d}{%d}`, n, d)
}

func fractionSum(r *rand.Rand) (string, string, string, int) {
	b, d := between(r, 3, 12), between(r, 3, 12)
	a, c := between(r, 1, b-1), between(r, 1, d-1)
	q := fmt.Sprintf(`A jug holds $\frac{%d}{%d}$ litre of juice and a bottle holds $\frac{%d}{%d}$ litre. How many litres is that together? Give a fraction in lowest terms.`, a, b, c, d)
	s := fmt.Sprintf(`On the common denominator $%d$ the amounts are $\frac{%d}{%d}$ and $\frac{%d}{%d}$. Their sum is $\frac{%d}{%d}$, in lowest terms $\boxed{%s}$.`,
		b*d, a*d, b*d, c*b, b*d, a*d+c*b, b*d, latexFraction(a*d+c*b, b*d))
	return q, s, "Prealgebra", 2
}

func linearEquation(r *rand.Rand) (string, string, string, int) {
	x := between(r, -9, 9)
	a, c := between(r, 5, 12), between(r, 2, 4)
	b := between(r, 1, 20)
	d := (a-c)*x + b // a x + b = c x + d
	sign := func(v int) string {
		if v < 0 {
			return fmt.Sprintf("- %d", -v)
		}
		return fmt.Sprintf("+ %d", v)
	}
	q := fmt.Sprintf(`Solve $%dx + %d = %dx %s$ for $x$.`, a, b, c, sign(d))
	s := fmt.Sprintf(`Taking $%dx$ and $%d$ from both sides leaves $%dx = %d$. Dividing by $%d$ gives $x = \boxed{%d}$.`, c, b, a-c, d-b, a-c, x)
	return q, s, "Algebra", 2
}

func rootSum(r *rand.Rand) (string, string, string, int) {
	a, b, c := between(r, 2, 9), between(r, 11, 29), between(r, 1, 6)
	q := fmt.Sprintf(`The equation $%dx^2 - %dx + %d = 0$ has two roots. What is the sum of their reciprocals?`, a, b, c)
	s := fmt.Sprintf(`The roots add up to $\frac{%d}{%d}$ and multiply to $\frac{%d}{%d}$. The sum of the reciprocals is the first divided by the second, $\frac{%d}{%d} = \boxed{%s}$.`,
		b, a, c, a, b, c, latexFraction(b, c))
	return q, s, "Intermediate Algebra", 4
}

func percentOf(r *rand.Rand) (string, string, string, int) {
	p, n := 5*between(r, 1, 19), 20*between(r, 2, 40)
	more := between(r, 3, 45)
	q := fmt.Sprintf(`What is $%d\%%$ of $%d$, increased by $%d$?`, p, n, more)
	s := fmt.Sprintf(`$%d\%%$ of $%d$ is $\frac{%d}{100}\cdot %d = %d$. Adding $%d$ gives $\boxed{%d}$.`, p, n, p, n, p*n/100, more, p*n/100+more)
	return q, s, "Prealgebra", 1
}

func greatestDivisor(r *rand.Rand) (string, string, string, int) {
	g := between(r, 4, 18)
	a, b := between(r, 3, 11), between(r, 3, 11)
	for gcd(a, b) != 1 || a == b {
		a, b = between(r, 3, 11), between(r, 3, 11)
	}
	q := fmt.Sprintf(`Two ribbons are $%d$ cm and $%d$ cm long. They are cut into equal pieces without any rest. What is the greatest possible length of a piece, in centimetres?`, g*a, g*b)
	s := fmt.Sprintf(`The length must divide both numbers. $%d = %d\cdot %d$ and $%d = %d\cdot %d$, where $%d$ and $%d$ have no common factor. So the pieces are $\boxed{%d}$ cm long.`,
		g*a, g, a, g*b, g, b, a, b, g)
	return q, s, "Number Theory", 3
}

func committee(r *rand.Rand) (string, string, string, int) {
	n, k := between(r, 5, 14), between(r, 2, 3)
	m := between(r, 2, 9)
	ways, text := n*(n-1)/2, fmt.Sprintf(`\frac{%d\cdot %d}{2}`, n, n-1)
	if k == 3 {
		ways, text = n*(n-1)*(n-2)/6, fmt.Sprintf(`\frac{%d\cdot %d\cdot %d}{6}`, n, n-1, n-2)
	}
	q := fmt.Sprintf(`A club of $%d$ members chooses $%d$ of them for a trip, without order, and one of $%d$ destinations. In how many ways can it choose?`, n, k, m)
	s := fmt.Sprintf(`The travellers can be chosen in $%s = %d$ ways, and each choice goes with $%d$ destinations: $%d\cdot %d = \boxed{%d}$.`, text, ways, m, ways, m, ways*m)
	return q, s, "Counting & Probability", 3
}

func circleArea(r *rand.Rand) (string, string, string, int) {
	out, in := between(r, 6, 19), between(r, 1, 5)
	q := fmt.Sprintf(`A round pond of radius $%d$ m lies in the middle of a round lawn of radius $%d$ m. What is the area of the grass in square metres, in terms of $\pi$?`, in, out)
	s := fmt.Sprintf(`The whole disc measures $%d\pi$ and the pond $%d\pi$ square metres. The difference is $\boxed{%d\pi}$.`, out*out, in*in, out*out-in*in)
	return q, s, "Geometry", 3
}

func simplifyRoot(r *rand.Rand) (string, string, string, int) {
	free := pick(r, []int{2, 3, 5, 6, 7, 10, 11, 13})
	a, b := between(r, 2, 9), between(r, 2, 9)
	q := fmt.Sprintf(`Write $\sqrt{%d} + \sqrt{%d}$ as a single root with a whole factor in front.`, a*a*free, b*b*free)
	s := fmt.Sprintf(`$\sqrt{%d} = %d\sqrt{%d}$ and $\sqrt{%d} = %d\sqrt{%d}$, so the sum is $\boxed{%d\sqrt{%d}}$.`,
		a*a*free, a, free, b*b*free, b, free, a+b, free)
	return q, s, "Algebra", 3
}

func inequality(r *rand.Rand) (string, string, string, int) {
	a, w := between(r, -7, 9), between(r, 1, 8)
	if a+w == 0 { // |x - 0| reads like a slip
		w++
	}
	q := fmt.Sprintf(`For which real $x$ is $|x - %d| \le %d$? Give the answer as an interval.`, a+w, w)
	if a+w < 0 {
		q = fmt.Sprintf(`For which real $x$ is $|x + %d| \le %d$? Give the answer as an interval.`, -a-w, w)
	}
	s := fmt.Sprintf(`The distance from $%d$ must not exceed $%d$, so $x$ lies from $%d$ to $%d$: $\boxed{[%d,%d]}$.`, a+w, w, a, a+2*w, a, a+2*w)
	return q, s, "Intermediate Algebra", 3
}

func midpoint(r *rand.Rand) (string, string, string, int) {
	x1, y1 := between(r, -9, 9), between(r, -9, 9)
	x2, y2 := x1+2*between(r, 1, 7), y1+2*between(r, 1, 7)
	q := fmt.Sprintf(`What is the midpoint of the segment from $(%d,%d)$ to $(%d,%d)$?`, x1, y1, x2, y2)
	s := fmt.Sprintf(`The mean of the first coordinates is $\frac{%d}{2}$ and of the second $\frac{%d}{2}$, so the midpoint is $\boxed{(%d,%d)}$.`,
		x1+x2, y1+y2, (x1+x2)/2, (y1+y2)/2)
	return q, s, "Geometry", 2
}
