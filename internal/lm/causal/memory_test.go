package causal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/nf4"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
)

// memoryCase is one process of TestMemoryEstimate.
type memoryCase struct {
	Device, Quantize string
	Rows, Seq        int
	Train, Recompute bool
}

// caseVar hands a case to the process that measures it.
const caseVar = "DISTILLFLOW_TEST_MEMORY_CASE"

// The estimate of memory is within 30 % of what a process takes at most.
func TestMemoryEstimate(t *testing.T) {
	dir := os.Getenv("DISTILLFLOW_MODEL_DIR")
	if one := os.Getenv(caseVar); one != "" {
		measure(t, dir, one)
		return
	}
	if os.Getenv("DISTILLFLOW_HEAVY") == "" || dir == "" {
		t.Skip("trains a real model in many processes: set DISTILLFLOW_HEAVY=1 and DISTILLFLOW_MODEL_DIR")
	}
	name := os.Getenv("DISTILLFLOW_DEVICE")
	if name == "" {
		name = device.CPU
	}
	for _, c := range []memoryCase{
		{name, "", 2, 128, true, false},
		{name, NF4, 2, 128, true, true},
		{name, "", 2, 128, true, true},
		{name, NF4, 2, 128, true, false},
		{name, "", 4, 256, true, false},
		{name, "", 8, 256, false, false},
	} {
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestMemoryEstimate$", "-test.v")
		cmd.Env = append(os.Environ(), caseVar+"="+string(data))
		out, err := cmd.CombinedOutput()
		for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
			if strings.Contains(s.Text(), "peak") || err != nil {
				t.Log(s.Text())
			}
		}
		if err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func measure(t *testing.T, dir, text string) {
	var c memoryCase
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	dev, err := device.Open(c.Device)
	if err != nil {
		t.Fatal(err)
	}
	// The tokenizer is no part of the estimate; Open reads it once more.
	if _, err := tokenizer.LoadPretrained(dir); err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	before := status(t, "VmRSS")
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skipf("the peak cannot be set back: %v", err)
	}
	job := pretrained.Job{Rows: c.Rows, Seq: c.Seq, Recompute: c.Recompute}
	l, err := lora.Config{Rank: 8, Alpha: 16, Targets: []string{"q_proj", "v_proj"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if c.Train {
		job.LoRA = &l
	}
	m, err := Open(context.Background(), dev, dir, Options{Quantize: c.Quantize, Job: job})
	if err != nil {
		t.Fatal(err)
	}
	loaded := status(t, "VmHWM")
	if c.Train {
		s, err := lora.Init(m.Config, l, 1)
		if err != nil {
			t.Fatal(err)
		}
		tuner, err := NewTuner(s, TunerOptions{Bases: []Base{m.base}, LoRA: &l, Recompute: c.Recompute})
		if err != nil {
			t.Fatal(err)
		}
		defer tuner.Close()
		b := Batch{Rows: c.Rows, Seq: c.Seq}
		for i := range int32(c.Rows * c.Seq) {
			b.IDs = append(b.IDs, 100+i%9000)
			b.At, b.Labels, b.Weight = append(b.At, i), append(b.Labels, 101+i%9000), append(b.Weight, 1)
		}
		for range 2 {
			if _, err := tuner.Gradients(b); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		prompts := make([][]int32, c.Rows)
		for i := range prompts {
			for k := range int32(c.Seq - 8) {
				prompts[i] = append(prompts[i], 100+k)
			}
		}
		if _, err := m.Generate(context.Background(), prompts, generate.Options{MaxNew: 8, Batch: c.Rows}); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Quantize: c.Quantize}
	job.DType, job.NoGraph = o.dtype(), !dev.IsXLA()
	if c.Quantize == NF4 {
		job.WeightBits = nf4.Bits
	}
	job.LossTokens = lossTokens(job, m.Config.Vocab)
	n := pretrained.Needs(m.Config, job)
	peak := status(t, "VmHWM") - before
	const mib = 1 << 20
	t.Logf("%s: peak %d MiB, %d of them at loading; estimate %d MiB, %.2f of it (%s)", text, peak/mib, (loaded-before)/mib, n.Total()/mib,
		float64(n.Total())/float64(peak), fmt.Sprintf("weights %d, activations %d, cache %d, logits %d", n.Weights/mib, n.Activations/mib, n.Cache/mib, n.Logits/mib))
	if r := float64(n.Total()) / float64(peak); r < 0.7 || r > 1.4 {
		t.Errorf("the estimate is %.2f of the peak", r)
	}
}

// status reads a number of bytes out of this process's state.
func status(t testing.TB, key string) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("the process's memory is not told here: %v", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Skipf("the process's state has no %s", key)
	return 0
}
