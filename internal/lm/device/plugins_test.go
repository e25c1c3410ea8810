package device

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// touch writes an empty file below root and returns its path.
func touch(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindPlugin(t *testing.T) {
	root := t.TempDir()
	local := touch(t, root, "home/.local/lib/go-xla/pjrt_c_api_cpu_v0.83_plugin.so")
	newer := touch(t, root, "home/.local/lib/go-xla/pjrt_c_api_cpu_v0.99_plugin.so")
	nvidia := touch(t, root, "home/.local/lib/go-xla/nvidia/pjrt_c_api_cuda_v0.83_plugin.so")
	wheel13 := touch(t, root, "venv/lib/python3.12/site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so")
	touch(t, root, "venv/lib/python3.12/site-packages/jax_plugins/xla_cuda12/xla_cuda_plugin.so")
	shipped := touch(t, root, "venv/lib/python3.12/site-packages/some_package/pjrt_c_api_cpu_plugin.so")
	userSite := touch(t, root, "user/.local/lib/python3.11/site-packages/jax_plugins/xla_cuda12/xla_cuda_plugin.so")
	other := touch(t, root, "other/libpjrt_cpu.so")
	touch(t, root, "other/libsomething.so")
	in := func(p string) string { return filepath.Join(root, p) }
	sep := string(filepath.ListSeparator)
	for name, c := range map[string]struct {
		env      map[string]string
		patterns []string
		want     string
	}{
		"variable names a file":            {map[string]string{PluginPathVar: other, "HOME": in("home")}, cpuPlugins, other},
		"variable names a folder":          {map[string]string{PluginPathVar: in("other"), "HOME": in("home")}, cpuPlugins, other},
		"variable lists several":           {map[string]string{PluginPathVar: in("nowhere") + sep + in("other")}, cpuPlugins, other},
		"file of another kind is passed":   {map[string]string{PluginPathVar: other, "HOME": in("home")}, cudaPlugins, nvidia},
		"home, the newest":                 {map[string]string{"HOME": in("home")}, cpuPlugins, newer},
		"home, nvidia":                     {map[string]string{"HOME": in("home")}, cudaPlugins, nvidia},
		"home before the environment":      {map[string]string{"HOME": in("home"), "VIRTUAL_ENV": in("venv")}, cpuPlugins, newer},
		"environment, the newest CUDA":     {map[string]string{"HOME": in("empty"), "VIRTUAL_ENV": in("venv")}, cudaPlugins, wheel13},
		"environment, by a package":        {map[string]string{"HOME": in("empty"), "VIRTUAL_ENV": in("venv")}, cpuPlugins, shipped},
		"conda":                            {map[string]string{"HOME": in("empty"), "CONDA_PREFIX": in("venv")}, cudaPlugins, wheel13},
		"the user's packages":              {map[string]string{"HOME": in("user")}, cudaPlugins, userSite},
		"a folder whose name is a pattern": {map[string]string{"HOME": in("empty"), PluginPathVar: in("[")}, []string{"no_such_plugin*.so"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, looked := findPlugin(c.patterns, func(v string) string { return c.env[v] })
			if got != c.want {
				t.Errorf("found %q, want %q (looked in %q)", got, c.want, looked)
			}
			if got == "" && len(looked) == 0 {
				t.Error("no folder named to look in")
			}
		})
	}
	if local == newer {
		t.Fatal("one file twice")
	}
}

func TestCUDAData(t *testing.T) {
	root := t.TempDir()
	plugin := touch(t, root, "site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so")
	if got := cudaData(plugin); got != "" {
		t.Errorf("without a toolkit: %q", got)
	}
	want := filepath.Dir(touch(t, root, "site-packages/nvidia/cuda_nvcc/nvvm"))
	if got := cudaData(plugin); got != want {
		t.Errorf("cuda 12: %q, want %q", got, want)
	}
	want = filepath.Dir(touch(t, root, "site-packages/nvidia/cu13/nvvm"))
	if got := cudaData(plugin); got != want {
		t.Errorf("cuda 13: %q, want %q", got, want)
	}
	if got := cudaData(touch(t, root, "lib/go-xla/pjrt_c_api_cuda_plugin.so")); got != "" {
		t.Errorf("a plugin outside of Python packages: %q", got)
	}
}

// A file that is no library, and a library that is no plugin, are errors that name
// the file.
func TestBrokenPlugin(t *testing.T) {
	if !HasXLA {
		t.Skip("built without cgo")
	}
	dir := t.TempDir()
	plugin := filepath.Join(dir, "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(plugin, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(PluginPathVar, dir)
	if _, err := openXLACPU(""); err == nil || !strings.Contains(err.Error(), plugin) || strings.Contains(err.Error(), "\n") {
		t.Errorf("no library: %v", err)
	}
	comma := filepath.Join(dir, "a,b", "pjrt_c_api_cpu_plugin.so")
	t.Setenv(PluginPathVar, touch(t, comma))
	if _, err := openXLACPU(""); err == nil || !strings.Contains(err.Error(), "comma") {
		t.Errorf("a comma: %v", err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	libs, err := filepath.Glob("/lib/*-linux-gnu/libm.so.6")
	if err != nil || len(libs) == 0 {
		t.Log("no C library to try")
		return
	}
	link := filepath.Join(t.TempDir(), "pjrt_c_api_cpu_plugin.so")
	if err := os.Symlink(libs[0], link); err != nil {
		t.Fatal(err)
	}
	t.Setenv(PluginPathVar, link)
	if _, err := openXLACPU(""); err == nil || !strings.Contains(err.Error(), "GetPjrtApi") {
		t.Errorf("no plugin: %v", err)
	}
}

func TestMissingCUDA(t *testing.T) {
	if !HasXLA {
		t.Skip("built without cgo")
	}
	for _, c := range []struct{ visible, name, want string }{
		{"", "cuda", "leaves no GPU"},
		{"-1", "cuda:0", "leaves no GPU"},
		{"4,5", "cuda:2", "cuda:0 to cuda:1"},
	} {
		t.Setenv(VisibleVar, c.visible)
		if _, err := Open(c.name); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s=%q: %v", c.name, VisibleVar, c.visible, err)
		}
	}
	t.Setenv(VisibleVar, "0")
	t.Setenv("HOME", t.TempDir())
	for _, v := range []string{PluginPathVar, "VIRTUAL_ENV", "CONDA_PREFIX"} {
		t.Setenv(v, "")
	}
	if path, looked, install := FindPlugin(CUDA); path == "" {
		_, err := Open("cuda:0")
		if err == nil || !strings.Contains(err.Error(), install) || !strings.Contains(err.Error(), looked[0]) {
			t.Errorf("without a plugin: %v", err)
		}
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "-1": nil, "0": {"0"}, "0,1": {"0", "1"}, " 2 , 3 ": {"2", "3"}, "1,-1,2": {"1"}, "GPU-ab,MIG-1": {"GPU-ab", "MIG-1"}, ",1": nil,
	} {
		got, limited := visible(func(string) (string, bool) { return text, true })
		if !limited || !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if _, limited := visible(func(string) (string, bool) { return "", false }); limited {
		t.Error("an unset variable limits")
	}
}
