// Package rowexpr evaluates the language of package expr over the fields of one
// row, as row stages such as filter do.
//
// Names are checked when an expression is compiled, against the declared
// [Fields]. A name that is not declared stands for a field of the data that the
// program does not know; it has the type any and is null where a row lacks it. A
// name that differs from a declared one by a slip of the keyboard is taken for
// that slip; $env["name"] is the way to a field that is really called so.
package rowexpr
