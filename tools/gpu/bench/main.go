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
	"syscall"

	"github.com/distillflow/distillflow/internal/lm/device"
)

const usage = `usage:
  bench parity -device D -repo FOLDER -out FOLDER
  bench jobs   -shapes a,b -out FOLDER [-rows N -seq N -steps N -rank N -dtype T]
  bench train  -device D -job FILE -out FOLDER [-quantize]
  bench decode -device D -job FILE -out FOLDER [-fresh N -bandwidth GBPS]
  bench checkpoint -shapes S -repo FOLDER -out FOLDER
  bench routed -events FILE -out FOLDER
  bench table  -peak TFLOPS FOLDER
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // run.sh's limit
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
	names := fs.String("shapes", "tiny-mistral", "shapes: "+strings.Join(shapeNames(), ", "))
	rows, seq := fs.Int("rows", 4, "sequences a step"), fs.Int("seq", 768, "tokens a sequence")
	steps, rank := fs.Int("steps", 50, "steps to time"), fs.Int("rank", 16, "of the adapters")
	dtype := fs.String("dtype", "bfloat16", "of the frozen weights")
	file := fs.String("job", "", "file that jobs wrote")
	quantize := fs.Bool("quantize", false, "keep the frozen matrices in 4 bits")
	fresh := fs.Int("fresh", 128, "tokens to decode for each row")
	bandwidth := fs.Float64("bandwidth", 0, "the device's memory bandwidth in GB/s; 0 leaves the share out")
	events := fs.String("events", "", "what distillflow run --json printed")
	peak := fs.Float64("peak", 0, "the device's peak in TFLOP/s, for MFU; 0 leaves it out")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "parity":
		r := result{Work: parityWork, System: "distillflow", Shape: "golden"}
		err := parity(ctx, *dev, *repo, *out, &r)
		return report(*out, r, err)
	case "jobs":
		return writeJobs(strings.Split(*names, ","), *out, job{Rows: *rows, Seq: *seq, Steps: *steps, Rank: *rank, DType: *dtype})
	case "train", "decode":
		var j job
		data, err := os.ReadFile(*file)
		if err == nil {
			err = json.Unmarshal(data, &j)
		}
		if err != nil {
			return fmt.Errorf("job %s: %w", *file, err)
		}
		r := result{Work: training, System: "distillflow", Shape: j.Shape, Batch: j.batch(), Params: j.Params}
		if args[0] == "decode" {
			r.Work = decoding
			err = decode(ctx, *dev, j, *fresh, *bandwidth, &r)
		} else {
			if *quantize {
				r.System = "distillflow nf4"
			}
			err = train(ctx, *dev, j, *quantize, &r)
		}
		return report(*out, r, err)
	case "checkpoint":
		return writeCheckpoint(*names, *repo, *out)
	case "routed":
		r := result{Work: routing, System: "distillflow", Shape: "pair"}
		err := readRouted(*events, &r)
		return report(*out, r, err)
	case "table":
		return table(os.Stdout, fs.Args(), *peak)
	}
	return fmt.Errorf("no command %q\n%s", args[0], usage)
}

// report writes a result. One that failed must not end the others, but is an error.
func report(out string, r result, err error) error {
	if err != nil {
		r.Error = err.Error()
	}
	if errors.Is(err, context.Canceled) {
		r.Error = "stopped at its limit"
	}
	name := strings.ReplaceAll(r.Shape+"."+r.Work+"."+r.System, " ", "-")
	return errors.Join(err, writeJSON(filepath.Join(out, name+".result.json"), r))
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
