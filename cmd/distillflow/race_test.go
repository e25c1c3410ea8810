//go:build race

package main

// raced is true where the race detector looks on. Each process that a test starts then takes
// a second of computing before it begins.
const raced = true
