// Package data holds the stages that read data and the row stages that every
// recipe may need. Each stage type is one variable in one file; [Stages] lists
// them for the program that registers them.
package data
