package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// hubEndpoint is the Hub where HF_ENDPOINT names no other.
const hubEndpoint = "https://huggingface.co"

func doctorBuild() []finding {
	const area = "build"
	xla, simd := device.Build()
	out := []finding{{area, "distillflow", stateOK, fmt.Sprintf("%s%s, %s %s/%s", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH), ""}}
	if xla {
		out = append(out, finding{area, "cgo", stateOK, "with the XLA bindings", ""})
	} else {
		out = append(out, finding{area, "cgo", stateWarning, "without the XLA bindings: no GPU", "build with a C compiler and CGO_ENABLED=1"})
	}
	if simd {
		out = append(out, finding{area, "simd", stateOK, "vector kernels for device cpu", ""})
	} else {
		out = append(out, finding{area, "simd", stateWarning, "no vector kernels: device cpu multiplies about ten times slower", "build with GOEXPERIMENT=simd"})
	}
	return out
}

func (a app) doctorHost() []finding {
	const area = "host"
	out := []finding{{area, "cpu", stateOK, strings.TrimRight(text.Plural(runtime.NumCPU(), "core")+", "+cpuFeatures(), ", "), ""}}
	mem := finding{area, "memory", stateOK, "", ""}
	switch free := pretrained.HostFree(); {
	case free <= 0:
		mem.Detail, mem.State = "not told by this system", stateSkipped
	case free < 1<<30:
		mem.Detail, mem.State, mem.Fix = text.Size(free)+" free", stateWarning, "end other programs: a small student needs about 1 GiB"
	default:
		mem.Detail = text.Size(free) + " free"
	}
	return append(out, mem, doctorDisk(area, "disk", "."))
}

// doctorDisk tells how much room the disk of a folder has.
func doctorDisk(area, name, dir string) finding {
	free, err := diskFree(dir)
	switch {
	case err != nil:
		return finding{area, name, stateSkipped, err.Error(), ""}
	case free < 1<<30:
		return finding{area, name, stateWarning, text.Size(free) + " free", "make room, or put the store elsewhere with --store"}
	}
	return finding{area, name, stateOK, text.Size(free) + " free here", ""}
}

// cpuFeatures lists the vector instructions that the kernels use.
func cpuFeatures() string {
	var out []string
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx", cpu.X86.HasAVX}, {"fma", cpu.X86.HasFMA}, {"avx2", cpu.X86.HasAVX2}, {"avx512f", cpu.X86.HasAVX512F},
		{"avx512bf16", cpu.X86.HasAVX512BF16}, {"asimd", cpu.ARM64.HasASIMD}, {"sve", cpu.ARM64.HasSVE},
	} {
		if f.has {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, " ")
}

// doctorHub looks at the cache of the Hugging Face Hub and, if allowed, at the Hub.
func (a app) doctorHub(ctx context.Context, network bool) []finding {
	const area = "hub"
	o := hub.FromEnv(a.getenv)
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = hubEndpoint
	}
	token := finding{area, "HF_TOKEN", stateMissing, "no token: open models can be read, gated ones cannot", "export HF_TOKEN=... for gated models"}
	if o.Token != "" {
		token = finding{area, "HF_TOKEN", stateOK, "a token is there", ""}
	}
	cache := finding{area, "cache", stateOK, o.CacheDir, ""}
	switch bytes, whole, err := folderSize(ctx, o.CacheDir); {
	case errors.Is(err, fs.ErrNotExist):
		cache.Detail += ", not made yet"
	case err != nil:
		cache.State, cache.Detail, cache.Fix = stateWarning, o.CacheDir+": "+pathCause(err).Error(), "make it readable, or set HF_HOME"
	case !whole:
		cache.Detail += ", more than " + text.Size(bytes)
	default:
		cache.Detail += ", " + text.Size(bytes)
	}
	access := finding{area, "access", stateSkipped, shownURL(endpoint) + "; --network tries it", ""}
	switch {
	case o.Offline:
		access.Detail = "offline mode is on (HF_HUB_OFFLINE): only the cache is read"
	case network:
		access = reach(ctx, endpoint)
	}
	return []finding{token, cache, access}
}

// folderSize sums the files below dir. A huge cache is not walked to its end.
func folderSize(ctx context.Context, dir string) (bytes int64, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := os.Stat(dir); err != nil {
		return 0, false, err
	}
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if e.Type().IsRegular() {
			if info, err := e.Info(); err == nil { // it may have gone since
				bytes += info.Size()
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return bytes, false, nil
	}
	return bytes, true, err
}

// reach asks whether a server answers at all; no token is sent.
func reach(ctx context.Context, endpoint string) finding {
	f := finding{"hub", "access", stateOK, shownURL(endpoint) + " answers", ""}
	fail := func(err error) finding {
		var ue *url.Error // carries the whole address
		if errors.As(err, &ue) {
			err = ue.Err
		}
		f.State, f.Detail = stateWarning, fmt.Sprintf("%s: %v", shownURL(endpoint), err)
		f.Fix = "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT, or work from the cache with HF_HUB_OFFLINE=1"
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint, nil)
	if err != nil {
		return fail(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 {
		return fail(fmt.Errorf("the server answers %s", resp.Status))
	}
	return f
}

// shownURL is an address without user, password and query, which may hold a key.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "HF_ENDPOINT, which is no address"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// providerKeys are the variables with the keys of the providers of batch-llm.
var providerKeys = []struct{ provider, variable string }{
	{"openai", "OPENAI_API_KEY"}, {"gemini", "GEMINI_API_KEY"},
}

func (a app) doctorKeys() []finding {
	var out []finding
	for _, k := range providerKeys {
		switch v := a.getenv(k.variable); {
		case strings.TrimSpace(v) == "":
			out = append(out, finding{"keys", k.provider, stateMissing, k.variable + " is not set", "export " + k.variable + "=... to use " + k.provider + "/... as a teacher"})
		case strings.TrimSpace(v) != v:
			out = append(out, finding{"keys", k.provider, stateWarning, k.variable + " is set, with blanks around the key", "set it again without them"})
		default:
			out = append(out, finding{"keys", k.provider, stateOK, k.variable + " is set", ""})
		}
	}
	return out
}

func (a app) doctorStore(f *storeFlags) finding {
	dir, from := f.dir, "--store"
	if dir == "" {
		dir, from = a.getenv("DISTILLFLOW_STORE"), "DISTILLFLOW_STORE"
	}
	if dir == "" {
		dir, from = defaultStore, "beside a recipe in this folder"
	}
	out := finding{"store", "store", stateOK, fmt.Sprintf("%s (%s)", dir, from), ""}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		out.Detail += ", not made yet"
		return out
	}
	st, err := f.open(a, "", true)
	if err != nil {
		out.State, out.Detail, out.Fix = stateBroken, err.Error(), "restore it, or name another with --store"
		return out
	}
	defer st.Close()
	runs, err := st.Runs()
	if err != nil {
		out.State, out.Detail, out.Fix = stateBroken, out.Detail+": "+err.Error(), "distillflow cache verify"
		return out
	}
	out.Detail += ", " + text.Plural(len(runs), "run")
	return out
}
