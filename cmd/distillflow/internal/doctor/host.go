package doctor

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

	"github.com/distillflow/distillflow/cmd/distillflow/internal/machine"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/llm/providers"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// hubEndpoint is the Hub where HF_ENDPOINT names no other.
const hubEndpoint = "https://huggingface.co"

func build(program string) []Finding {
	const area = "build"
	out := []Finding{{area, "distillflow", OK, fmt.Sprintf("%s, %s %s/%s", program, runtime.Version(), runtime.GOOS, runtime.GOARCH), ""}}
	if device.HasXLA {
		out = append(out, Finding{area, "cgo", OK, "with the XLA bindings", ""})
	} else {
		out = append(out, Finding{area, "cgo", Warning, "without the XLA bindings: no GPU", "build with a C compiler and CGO_ENABLED=1"})
	}
	return out
}

func host() []Finding {
	const area = "host"
	out := []Finding{{area, "cpu", OK, strings.TrimRight(text.Plural(runtime.NumCPU(), "core")+", "+cpuFeatures(), ", "), ""}}
	mem := Finding{area, "memory", OK, "", ""}
	switch free := pretrained.HostFree(); {
	case free <= 0:
		mem.Detail, mem.State = "this system does not say", Skipped
	case free < 1<<30:
		mem.Detail, mem.State, mem.Fix = text.Size(free)+" free", Warning, "end other programs: a small student needs about 1 GiB"
	default:
		mem.Detail = text.Size(free) + " free"
	}
	return append(out, mem, disk(area, "disk", "."))
}

// disk tells how much room the disk of a folder has.
func disk(area, name, dir string) Finding {
	free, err := machine.DiskFree(dir)
	switch {
	case err != nil:
		return Finding{area, name, Skipped, err.Error(), ""}
	case free < 1<<30:
		return Finding{area, name, Warning, text.Size(free) + " free", "make room, or put the store elsewhere with --store"}
	}
	return Finding{area, name, OK, text.Size(free) + " free here", ""}
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

// hubFindings looks at the cache of the Hugging Face Hub and, if allowed, at the Hub.
func hubFindings(ctx context.Context, options Options) []Finding {
	const area = "hub"
	o := hub.FromEnv(options.Getenv)
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = hubEndpoint
	}
	token := Finding{area, "HF_TOKEN", Missing, "no token: open models can be read, gated ones cannot", "export HF_TOKEN=... for gated models"}
	if o.Token != "" {
		token = Finding{area, "HF_TOKEN", OK, "a token is there", ""}
	}
	cache := Finding{area, "cache", OK, o.CacheDir, ""}
	switch bytes, whole, err := folderSize(ctx, o.CacheDir); {
	case errors.Is(err, fs.ErrNotExist):
		cache.Detail += ", not made yet"
	case err != nil:
		cache.State, cache.Detail, cache.Fix = Warning, o.CacheDir+": "+paths.Cause(err).Error(), "make it readable, or set HF_HOME"
	case !whole:
		cache.Detail += ", more than " + text.Size(bytes)
	default:
		cache.Detail += ", " + text.Size(bytes)
	}
	access := Finding{area, "access", Skipped, shownURL(endpoint) + "; --network tries it", ""}
	switch {
	case o.Offline:
		access.Detail = "offline mode is on (HF_HUB_OFFLINE): only the cache is read"
	case options.Network:
		access = reach(ctx, endpoint)
	}
	return []Finding{token, cache, access}
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
func reach(ctx context.Context, endpoint string) Finding {
	f := Finding{"hub", "access", OK, shownURL(endpoint) + " answers", ""}
	fail := func(err error) Finding {
		var ue *url.Error // carries the whole address
		if errors.As(err, &ue) {
			err = ue.Err
		}
		f.State, f.Detail = Warning, fmt.Sprintf("%s: %v", shownURL(endpoint), err)
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
		return "what is not an address"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

func keys(getenv func(string) string) []Finding {
	var out []Finding
	for _, s := range providers.Specs() {
		if len(s.KeyEnv) == 0 {
			continue
		}
		var set []string
		for _, name := range s.KeyEnv {
			if strings.TrimSpace(getenv(name)) != "" {
				set = append(set, name)
			}
		}
		switch {
		case len(set) == 0:
			out = append(out, Finding{"keys", s.Name, Missing, strings.Join(s.KeyEnv, " or ") + " is not set", "export " + s.KeyEnv[0] + "=... to use " + s.Name + "/... as a teacher"})
		case strings.TrimSpace(getenv(set[0])) != getenv(set[0]):
			out = append(out, Finding{"keys", s.Name, Warning, set[0] + " is set, with blanks around the key", "set it again without them"})
		case len(set) > 1:
			out = append(out, Finding{"keys", s.Name, OK, set[0] + " is set and counts, before " + strings.Join(set[1:], " and "), ""})
		default:
			out = append(out, Finding{"keys", s.Name, OK, set[0] + " is set", ""})
		}
		if v := strings.TrimSpace(getenv(s.URLEnv)); s.URLEnv != "" && v != "" {
			out = append(out, Finding{"keys", s.URLEnv, OK, s.Name + "/... without base_url goes to " + shownURL(v), ""})
		}
	}
	return out
}
