package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/doctor"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// runDoctor runs the command in this process; the processes it starts run distillflow.
func runDoctor(t *testing.T) (findings []doctor.Finding, status int) {
	t.Helper()
	t.Setenv(asProgram, "1")
	var out, errs bytes.Buffer
	a := app{in: strings.NewReader(""), out: &out, err: &errs, getenv: os.Getenv}
	status = a.run(context.Background(), []string{"doctor", "--json"})
	if err := json.Unmarshal(out.Bytes(), &findings); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if errs.Len() > 0 {
		t.Errorf("standard error: %s", errs.String())
	}
	return findings, status
}

// A plugin that is no library is one broken line that names it; the rest is told.
func TestDoctorBrokenPlugin(t *testing.T) {
	if !device.HasXLA {
		t.Skip("built without cgo")
	}
	plugin := filepath.Join(t.TempDir(), "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(plugin, []byte("This is no library.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(device.PluginPathVar, plugin)
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("DISTILLFLOW_STORE", filepath.Join(t.TempDir(), "none"))
	all, status := runDoctor(t)
	if status != exitFailed {
		t.Errorf("status %d, want %d", status, exitFailed)
	}
	at := slices.IndexFunc(all, func(f doctor.Finding) bool { return f.Name == device.XLA })
	if at < 0 || all[at].State != doctor.Broken || !strings.Contains(all[at].Detail, plugin) {
		t.Fatalf("the broken plugin is not told: %+v", all)
	}
	if p := all[at-1]; p.Detail != plugin || !strings.Contains(p.Fix, device.PluginPathVar) {
		t.Errorf("plugin: %+v", p)
	}
	if last := all[len(all)-1]; last.Area != "store" || last.State != doctor.OK {
		t.Errorf("the end: %+v", last)
	}
}
