// Package recipe reads YAML recipes into a syntax tree with positions and
// resolves everything that a recipe can say without knowing stage types:
// params, profiles, overrides, ${{ }} expressions and `when:`.
//
// What a stage type accepts (config fields, ports) is not known here; package
// graph checks that against the [Value] trees this package hands over. Every
// problem is a diagnostic with a position, and one reading reports all of them.
//
// The work goes through three forms: YAML nodes become a [Value] tree that
// knows file, line, column and base folder of each value; whole-recipe
// operations act on that tree; and only then it is decoded into a [Recipe].
package recipe
