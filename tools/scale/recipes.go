//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// chain is a recipe over answers: what a whole run takes, the engine, the store and the
// report among it. Nothing in it needs a key.
const chain = `name: chain
stages:
  answers: {uses: import, with: {root: ../replies.jsonl}}
  preds:   {uses: extract, from: answers}
  kept:    {uses: filter, from: preds, with: {paths: "style != 'plain'"}}
`

// sweepLegs is the number of legs of the sweep; each has four stages.
const sweepLegs = 500

// sweep is a recipe of 2,000 stages on the axes of matrices, and one that they share.
func sweep() string {
	legs := make([]string, sweepLegs)
	for i := range legs {
		legs[i] = strconv.Itoa(i)
	}
	return `name: sweep
x-axis: &axis {leg: [` + strings.Join(legs, ", ") + `]}
stages:
  problems: {uses: scan, with: {root: ../questions.jsonl, task: gsm8k}}
  kept:  {uses: filter, from: problems, matrix: *axis, with: {where: "id != '${{ matrix.leg }}'"}}
  more:  {uses: derive, from: kept, matrix: *axis, with: {set: {leg: "'${{ matrix.leg }}'"}}}
  part:  {uses: split, from: more, matrix: *axis}
  drawn: {uses: sample, from: part.train, matrix: *axis, with: {n: 5}}
`
}

// recipe runs a recipe, then plans it and runs it again with all in the store. Of the
// first run, written is what the store takes.
func (b *bench) recipe(name, text string, report func(name string, c cost)) error {
	dir := filepath.Join(b.dir, "recipe")
	file := filepath.Join(dir, "recipe.yaml")
	if err := errors.Join(os.MkdirAll(dir, 0o777), os.WriteFile(file, []byte(text), 0o666)); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, do := range []struct{ label, command string }{{"run", "run"}, {"plan, all cached", "plan"}, {"run, all cached", "run"}} {
		c, err := process(b.program, do.command, file, "--store", filepath.Join(dir, "store"))
		if err != nil {
			return err
		}
		if do.label == "run" {
			if c.written, err = size(dir); err != nil {
				return err
			}
		}
		report(name+": "+do.label, c)
	}
	return nil
}

// size is what the files below a folder take.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// runSweep measures the sweep, on ten problems: its cost is that of the stages' number.
func runSweep(program, dir string) error {
	b := bench{program: program, dir: filepath.Join(dir, "sweep")}
	if err := os.MkdirAll(b.dir, 0o777); err != nil {
		return err
	}
	if err := writeQuestions(filepath.Join(b.dir, "questions.jsonl"), 10, 1); err != nil {
		return err
	}
	fmt.Printf("\nA sweep of %d stages:\n\n", 4*sweepLegs+1)
	return b.recipe("sweep", sweep(), func(name string, c cost) {
		fmt.Printf("- %s: %.2f s CPU, %.2f s wall, %d MiB RSS\n", name, c.cpu.Seconds(), c.wall.Seconds(), c.rss>>20)
	})
}
