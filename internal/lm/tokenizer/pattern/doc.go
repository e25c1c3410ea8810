// Package pattern matches the regular expressions of tokenizer files.
//
// They are written for Oniguruma and use lookahead, possessive repeats and
// Unicode classes, so Go's regexp cannot run them. Nearly all are a choice of
// short sequences of repeated character classes; [Compile] turns these into
// tables and a small backtracking matcher, which is what the speed of a tokenizer
// hangs on. Whatever it does not cover goes to regexp2, a slower general engine.
package pattern
