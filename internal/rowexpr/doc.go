// Package rowexpr compiles and evaluates the bare expressions that row stages
// take, such as
//
//	len(question) < 500 and any(paths, .correct)
//
// The language is expr-lang/expr (https://expr-lang.org) without its functions
// for time, JSON, encoding and unbounded text. An expression sees the fields of
// one row and nothing else. Source length, syntax nodes, loop steps, list sizes
// and the text it may build are bounded, so that a recipe of a stranger cannot
// use up a machine.
//
// Names are checked when an expression is compiled, against the declared
// [Fields]. A name that is not declared stands for a field of the data that the
// program does not know; it has the type any and is null where a row lacks it. A
// name that differs from a declared one by a slip of the keyboard is taken for
// that slip; $env["name"] is the way to a field that is really called so.
package rowexpr
