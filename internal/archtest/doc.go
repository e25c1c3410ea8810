// Package archtest holds the test that keeps the import rules of
// ARCHITECTURE.md and the house rules that a compiler cannot know. It has no
// code of its own.
package archtest
