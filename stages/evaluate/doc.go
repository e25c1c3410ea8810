// Package evaluate holds the stages that find out what a teacher's answers are
// worth: extract finds the stated answer, verify-math and verify-choice compare
// it with the gold answer, and judge asks whether the reasoning behind a correct
// answer is sound.
package evaluate
