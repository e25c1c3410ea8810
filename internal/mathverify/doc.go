// Package mathverify decides whether two written mathematical answers mean
// the same thing.
//
// An answer is a short piece of LaTeX or plain-text mathematics such as
// \frac{\sqrt3}{3}, sqrt(3)/3, x \in [-2,7], (1,2), 28\% or "Monday". Parse
// turns it into a typed tree; Verify compares two answers and returns Equal,
// Different or Unknown together with the reason.
//
// # How a decision is made
//
//  1. Trees that print alike are equal.
//  2. Numbers that stay rational are compared exactly (big.Rat, also for
//     Gaussian rationals).
//  3. Other constants (roots, pi, e, trigonometric functions, logarithms) are
//     enclosed in intervals at rising precision. Disjoint enclosures prove a
//     difference. Enclosures that still overlap at the highest precision
//     count as equal: the two numbers then agree to several hundred digits.
//  4. Expressions with symbols are evaluated at fixed pseudo-random points
//     (positive, mixed signs, complex; far from zero too where a function such
//     as |x| bends). One point where the enclosures are disjoint proves a
//     difference.
//  5. Equations are compared by their zero sets, inequalities by the sets of
//     numbers that they describe, tuples, sets, lists and matrices element by
//     element.
//
// Integrals, limits, derivatives and infinite sums are read but not evaluated.
// An answer with one of them is Equal to the same expression, up to the names
// of bound variables, and Unknown against everything else.
//
// There is no absolute tolerance: 1/2^99 and 1/2^98 differ. A decimal stands
// for an approximation only under the rules of Options.
//
// Every call runs within a budget of steps and bits, so 10^10^10 and nested
// factorials return at once (Unknown unless an enclosure decides). A step stands
// for work, weighted by the precision and the size of numbers, not for time: the
// verdict is the same on every machine. The package
// holds no mutable state; calls are deterministic and safe from any number of
// goroutines.
package mathverify
