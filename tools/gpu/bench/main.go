// Command bench measures distillflow's training on one device: whether it computes
// what transformers and PEFT compute, and how fast and in how much memory it trains
// adapters on random models of real shapes. tools/gpu/run.sh runs it beside the same
// work in Python.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/device"
)

const usage = `usage:
  bench parity -device D -repo FOLDER -out FOLDER
  bench jobs   -shapes a,b -out FOLDER [-rows N -seq N -steps N -rank N -dtype T]
  bench train  -device D -job FILE -out FOLDER
  bench table  -peak TFLOPS FOLDER
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(strings.TrimSuffix(usage, "\n"))
	}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	dev := fs.String("device", device.Auto, "device to run on")
	out := fs.String("out", ".", "folder of results")
	repo := fs.String("repo", ".", "root of the repository, for its golden files")
	names := fs.String("shapes", "tiny", "shapes: "+strings.Join(shapeNames(), ", "))
	rows, seq := fs.Int("rows", 4, "sequences a step"), fs.Int("seq", 768, "tokens a sequence")
	steps, rank := fs.Int("steps", 50, "steps to time"), fs.Int("rank", 16, "of the adapters")
	dtype := fs.String("dtype", "bfloat16", "of the frozen weights")
	file := fs.String("job", "", "file that jobs wrote")
	peak := fs.Float64("peak", 0, "the device's peak in TFLOP/s, for MFU; 0 leaves it out")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "parity":
		return parity(ctx, *dev, *repo, *out)
	case "jobs":
		return writeJobs(strings.Split(*names, ","), *out, job{Rows: *rows, Seq: *seq, Steps: *steps, Rank: *rank, DType: *dtype})
	case "train":
		var j job
		data, err := os.ReadFile(*file)
		if err == nil {
			err = json.Unmarshal(data, &j)
		}
		if err != nil {
			return fmt.Errorf("job %s: %w", *file, err)
		}
		r := result{System: "distillflow", Shape: j.Shape}
		if err := train(ctx, *dev, j, &r); err != nil {
			// A shape that does not fit must not end the others.
			r.Error = err.Error()
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", j.Shape, err)
		}
		return writeJSON(filepath.Join(*out, j.Shape+".distillflow.result.json"), r)
	case "table":
		return table(os.Stdout, fs.Args(), *peak)
	}
	return fmt.Errorf("no command %q\n%s", args[0], usage)
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
