package device

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// PluginPathVar lists folders, or files, to look for PJRT plugins in first. It is
// the variable that the XLA bindings know.
const PluginPathVar = "PJRT_PLUGIN_LIBRARY_PATH"

// What plugins are called: those of the bindings' own installer, of JAX's wheels
// and of builds that other packages ship.
var (
	cpuPlugins  = []string{"pjrt_c_api_cpu*plugin.so", "libpjrt_cpu.so", "libpjrt_c_api_cpu*.so", "pjrt_c_api_cpu*plugin.dylib"}
	cudaPlugins = []string{"pjrt_c_api_cuda*plugin.so", "xla_cuda_plugin.so", "libpjrt_c_api_cuda*.so"}
)

// findPlugin returns the first plugin whose file name matches one of the patterns,
// "" when there is none, and the folders it looked in.
func findPlugin(patterns []string, getenv func(string) string) (path string, looked []string) {
	for _, p := range filepath.SplitList(getenv(PluginPathVar)) {
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			if matches(patterns, filepath.Base(p)) {
				return p, looked
			}
			continue
		}
		looked = append(looked, p)
	}
	home := getenv("HOME")
	for _, dir := range []string{filepath.Join(home, ".local/lib/go-xla"), "/usr/local/lib/go-xla"} {
		looked = append(looked, dir, filepath.Join(dir, "nvidia"))
	}
	for _, dir := range looked {
		if p := newest(dir, patterns); p != "" {
			return p, looked
		}
	}
	for _, site := range sitePackages(home, getenv) {
		looked = append(looked, site)
		for _, sub := range []string{"jax_plugins/xla_cuda*", "*"} {
			if p := newest(filepath.Join(site, sub), patterns); p != "" {
				return p, looked
			}
		}
	}
	return "", looked
}

// sitePackages lists the folders of installed Python packages: the active
// environment's, the user's and the system's.
func sitePackages(home string, getenv func(string) string) []string {
	var out []string
	for _, root := range []string{getenv("VIRTUAL_ENV"), getenv("CONDA_PREFIX"), filepath.Join(home, ".local"), "/usr/local", "/usr"} {
		if root == "" {
			continue
		}
		for _, kind := range []string{"site-packages", "dist-packages"} {
			found, err := filepath.Glob(filepath.Join(root, "lib", "python3*", kind))
			if err != nil {
				continue // a pattern in the folder's own name
			}
			slices.Reverse(found)
			out = append(out, found...)
		}
	}
	return out
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := filepath.Match(p, name)
		return ok && err == nil
	})
}

// newest returns the last by name of the files in dir (a pattern) that match.
func newest(dir string, patterns []string) string {
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, p))
		if err == nil && len(found) > 0 {
			return slices.Max(found)
		}
	}
	return ""
}

// cudaData is the folder of the CUDA toolkit's device libraries that Python wheels
// install beside plugin, or "".
func cudaData(plugin string) string {
	site, _, ok := strings.Cut(plugin, string(filepath.Separator)+"jax_plugins"+string(filepath.Separator))
	if !ok {
		return ""
	}
	for _, sub := range []string{"nvidia/cu13", "nvidia/cuda_nvcc"} {
		dir := filepath.Join(site, sub)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}
