package device

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestParseList(t *testing.T) {
	for text, want := range map[string]List{
		"": {Auto}, "[]": {Auto}, "cpu": {CPU}, "cuda": {"cuda:0"}, "cuda:01": {"cuda:1"},
		"[cuda:0, cuda:1]": {"cuda:0", "cuda:1"}, "cuda:1,cuda:0": {"cuda:1", "cuda:0"}, `["cuda:0"]`: {"cuda:0"},
	} {
		got, err := ParseList(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"[cuda:0", "cuda:0,,cuda:1", "tpu", "cuda:x", "cuda:-1", "cpu:1", "cuda,cuda:0"} {
		if l, err := ParseList(text); err == nil || !strings.Contains(err.Error(), "device") {
			t.Errorf("%q: %q, %v", text, l, err)
		}
	}
	l := List{"cuda:0", "cuda:1"}
	if l.For(0) != "cuda:0" || l.For(1) != "cuda:1" || l.For(2) != "cuda:0" || (List)(nil).For(3) != Auto {
		t.Error("students do not take the devices in turn")
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"", "auto", "[cuda:0, cuda:1]", "[", "cuda:99999999999999999999", "cuda:+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseList(s)
		if err != nil {
			return
		}
		if len(l) == 0 {
			t.Fatal("an empty list")
		}
		for _, name := range l {
			if err := Valid(name); err != nil {
				t.Errorf("%q gives %v", s, err)
			}
		}
	})
}

func TestWithin(t *testing.T) {
	set := func(v string) func(string) (string, bool) { return func(string) (string, bool) { return v, true } }
	unset := func(string) (string, bool) { return "", false }
	for _, c := range []struct {
		name   string
		gpus   []string
		lookup func(string) (string, bool)
		want   string // or part of the error, after "!"
	}{
		{"cpu", []string{"1"}, unset, "cpu"},
		{"cuda", nil, unset, "cuda:0"},
		{"cuda", []string{"2", "3"}, unset, "cuda:2"},
		{"cuda:1", []string{"2", "3"}, unset, "cuda:3"},
		{"cuda:2", []string{"2", "3"}, unset, "!has 2 of the GPUs"},
		{"cuda:1", []string{"2", "3"}, set("3,2"), "cuda:0"},
		{"cuda:0", []string{"GPU-b"}, set("GPU-a,GPU-b"), "cuda:1"},
		{"cuda:0", []string{"5"}, set("0,1"), "!hides"},
		{"cuda:0", []string{"GPU-b"}, unset, "!has no number"},
		{"tpu", nil, unset, "!unknown"},
	} {
		got, err := within(c.name, c.gpus, c.lookup)
		if part, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s of %q: %q, %v; want an error with %q", c.name, c.gpus, got, err, part)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s of %q: %q, %v; want %q", c.name, c.gpus, got, err, c.want)
		}
	}
}

func TestParseGPUs(t *testing.T) {
	gpus, err := parseGPUs("0, GPU-aa11, NVIDIA A100, 550.1, 81920, 80000\n1, GPU-bb22, NVIDIA A100, 550.1, [N/A], 12\n")
	if err != nil || len(gpus) != 2 {
		t.Fatalf("%+v, %v", gpus, err)
	}
	if g := gpus[0]; g != (GPU{"0", "GPU-aa11", "NVIDIA A100", "550.1", 81920 << 20, 80000 << 20}) {
		t.Errorf("%+v", g)
	}
	if gpus[1].Total != 0 {
		t.Errorf("unknown memory is %d", gpus[1].Total)
	}
	if _, err := parseGPUs("no devices were found\n"); err == nil {
		t.Error("a message was read as a GPU")
	}
	for _, c := range []struct{ name, visible, want string }{
		{"cuda:1", "unset", "1"}, {"cuda:0", "1", "1"}, {"cuda:0", "GPU-bb", "1"}, {"cuda:1", "1", ""}, {"cuda:7", "unset", ""},
	} {
		d := &Device{name: c.name}
		g, ok := d.gpu(gpus, func(string) (string, bool) { return c.visible, c.visible != "unset" })
		if g.Index != c.want || ok != (c.want != "") {
			t.Errorf("%s of %s: %+v, %v", c.name, c.visible, g, ok)
		}
	}
}

func TestFreeAndProbe(t *testing.T) {
	d, err := Open(CPU)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Free(context.Background(), func() int64 { return 17 }); got != 17 {
		t.Errorf("the host's memory: %d", got)
	}
	flops, err := d.Probe(48)
	if err != nil || !(flops > 0) {
		t.Errorf("probe: %g, %v", flops, err)
	}
}

// Several goroutines that open devices at the same time get the same ones.
func TestOpenConcurrently(t *testing.T) {
	names := []string{CPU, Auto, ""}
	if path, _, _ := FindPlugin(XLA); HasXLA && path != "" {
		names = append(names, XLA)
	}
	got := make([]*Device, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = Open(names[i%len(names)]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range got {
		if j := i % len(names); got[i] != got[j] {
			t.Errorf("%q was opened twice", names[j])
		}
	}
}

const quietChild = "DISTILLFLOW_TEST_QUIET"

// Opening a plugin, a good or a broken one, writes nothing to standard error.
func TestOpenIsQuiet(t *testing.T) {
	if os.Getenv(quietChild) != "" {
		if d, err := Open(XLA); err == nil {
			if _, err := d.Probe(8); err != nil {
				t.Error(err)
			}
		}
		return
	}
	broken := touch(t, t.TempDir(), "pjrt_c_api_cpu_plugin.so")
	for _, path := range []string{os.Getenv(PluginPathVar), broken} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOpenIsQuiet$")
		cmd.Env = append(os.Environ(), quietChild+"=1", PluginPathVar+"="+path)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Errorf("plugin %q: %v, and on standard error:\n%s", path, err, stderr.String())
		}
	}
}
