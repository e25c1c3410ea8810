package mathverify

import (
	"math/big"
	"strconv"
	"strings"
)

// Kind is the type of a tree node.
type Kind int

// Kinds of nodes. Args gives the children.
const (
	KNum     Kind = iota // Rat; Sig and Dec describe a decimal literal
	KSym                 // Name: a variable
	KConst               // Name: pi, e, i, inf
	KText                // Name: words
	KAdd                 // Args summed
	KMul                 // Args multiplied
	KNeg                 // -Args[0]
	KDiv                 // Args[0] / Args[1]
	KPow                 // Args[0] ^ Args[1]
	KFunc                // Name applied to Args
	KApp                 // unknown function Name applied to Args: f(x)
	KPM                  // Args[0] +- Args[1] (one argument: +-Args[0]); Name "pm" or "mp"
	KPercent             // Args[0] per cent
	KDegree              // Args[0] degrees
	KUnit                // Args[0] with unit or noun Name
	KList                // bare list: a, b, c
	KTuple               // (a, b): Name holds the two brackets
	KSet                 // {a, b}
	KSetOp               // Name: cup, cap, setminus
	KMatrix              // Args are KTuple rows
	KRel                 // Args[0] Ops[0] Args[1] Ops[1] ...
	KRatio               // a : b : c
	KTime                // Args: hour, minute (24-hour clock when Name is "abs")
	KBig                 // Name sum, prod, int, lim, diff; Args: body, variable, then bounds
	KBase                // digits Name in base Args[0]; Rat is the value
	KBuilder             // {Args[0] | Args[1]}
	KCases               // Args: value, condition, value, condition, ...
)

// Node is a node of the tree that Parse returns. Trees are read-only once
// built and may be shared between goroutines.
type Node struct {
	Kind Kind
	Name string
	Rat  *big.Rat
	// Dec is the number of digits after the point of a decimal literal and Sig
	// its significant digits; both are 0 for other numbers.
	Dec, Sig int
	Args     []*Node
	Ops      []string
	// loose marks a reading that context may overrule: a single letter after a
	// number and a space ("5 m") is a unit unless the other side knows m as a
	// symbol; (a,b) parsed from prose.
	loose bool
	// sign marks a currency written as a sign ($5): it counts only against another
	// unit.
	sign bool
}

func num(n int64) *Node                   { return &Node{Kind: KNum, Rat: new(big.Rat).SetInt64(n)} }
func ratNode(r *big.Rat) *Node            { return &Node{Kind: KNum, Rat: r} }
func node(k Kind, args ...*Node) *Node    { return &Node{Kind: k, Args: args} }
func fn(name string, args ...*Node) *Node { return &Node{Kind: KFunc, Name: name, Args: args} }

var kindNames = map[Kind]string{
	KAdd: "+", KMul: "*", KNeg: "neg", KDiv: "/", KPow: "^", KPM: "pm", KPercent: "percent",
	KDegree: "deg", KList: "list", KSet: "set", KMatrix: "matrix", KRatio: "ratio", KTime: "time",
	KBuilder: "builder", KCases: "cases", KRel: "rel",
}

// String prints the tree in prefix form, for example (+ (^ x 2) 1).
func (n *Node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *Node) write(b *strings.Builder) {
	if b.Len() > 4096 {
		return
	}
	switch n.Kind {
	case KNum:
		if n.Rat.IsInt() {
			b.WriteString(n.Rat.Num().String())
		} else {
			b.WriteString(n.Rat.String())
		}
		return
	case KSym, KConst:
		b.WriteString(n.Name)
		return
	case KText:
		b.WriteString(strconv.Quote(n.Name))
		return
	case KBase:
		b.WriteString(n.Name + "_" + n.Args[0].String())
		return
	}
	b.WriteByte('(')
	switch n.Kind {
	case KFunc, KBig, KSetOp:
		b.WriteString(n.Name)
	case KApp:
		b.WriteString("apply " + n.Name)
	case KUnit:
		b.WriteString("unit[" + n.Name + "]")
	case KTuple:
		b.WriteString("tuple" + n.Name)
	default:
		b.WriteString(kindNames[n.Kind])
		if n.Kind == KPM || n.Kind == KTime {
			b.WriteString(n.Name)
		}
	}
	for i, a := range n.Args {
		if n.Kind == KRel && i > 0 {
			b.WriteString(" " + n.Ops[i-1])
		}
		b.WriteByte(' ')
		a.write(b)
	}
	b.WriteByte(')')
}

// walk calls f on n and all nodes below it until f returns false.
func (n *Node) walk(f func(*Node) bool) bool {
	if !f(n) {
		return false
	}
	for _, a := range n.Args {
		if !a.walk(f) {
			return false
		}
	}
	return true
}

// has reports whether a node of kind k lies in the tree.
func (n *Node) has(k Kind) bool { return !n.walk(func(m *Node) bool { return m.Kind != k }) }

// size counts nodes up to a limit.
func (n *Node) size() int {
	c := 0
	n.walk(func(*Node) bool { c++; return c < 1<<16 })
	return c
}

// with returns a copy of n with other children.
func (n *Node) with(args ...*Node) *Node {
	m := *n
	m.Args = args
	return &m
}

// rewrite applies f bottom-up; f returns its argument where nothing changes.
func (n *Node) rewrite(f func(*Node) *Node) *Node {
	var args []*Node
	for i, a := range n.Args {
		r := a.rewrite(f)
		if r != a && args == nil {
			args = append([]*Node(nil), n.Args...)
		}
		if args != nil {
			args[i] = r
		}
	}
	if args != nil {
		n = n.with(args...)
	}
	return f(n)
}
