// Package recipe reads YAML recipes into a syntax tree with positions and
// resolves everything that a recipe can say without knowing stage types:
// params, profiles, overrides, ${{ }} expressions and `when:`.
//
// What a stage type accepts (config fields, ports) is not known here; package
// graph checks that against the [Value] trees this package hands over. Every
// problem is a diagnostic with a position, and one reading reports all of them.
//
// A recipe can be made of several files. `extends:` takes over a whole recipe;
// `include:` takes over the params, profiles, tasks, stages and env of recipes that
// stand beside one another, where two that differ are a mistake. Extended ones
// come first, included ones are laid on them, the recipe's own entries on both.
// [Recipe.Files] lists the files, and [Recipe.Sources] holds their text.
//
// A large file is read in pieces between the keys of `stages:`, by a small
// reader of plain YAML where that suffices and by the YAML library where not;
// the result is the same as that of reading it whole.
//
// The work goes through three forms: YAML nodes become a [Value] tree that
// knows file, line, column and base folder of each value; whole-recipe
// operations act on that tree; and only then it is decoded into a [Recipe].
package recipe
