package hub

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// DefaultEndpoint is the address of the Hub itself.
const DefaultEndpoint = "https://huggingface.co"

// Options says where the Hub is and where its files are kept. The zero value means
// what the environment says; see [New].
type Options struct {
	Endpoint string // "" means https://huggingface.co
	Token    string // access token; "" means none
	CacheDir string // the folder with models--owner--name; "" means that of [FromEnv]
	Offline  bool   // never use the network

	// HTTP makes the requests; nil means a client of our own. Its redirect policy is
	// replaced, so that the token is sent to the endpoint only.
	HTTP *http.Client
	// Progress hears of bytes that arrive, from the calling goroutine, or are sent, from others; nil means the
	// function given to [Observe], if any.
	Progress func(Progress)
	// Wait sleeps before an attempt is repeated; nil means a real wait. Tests set it.
	Wait func(time.Duration)
	// Stall is how long a download may give no byte before it is tried again; 0 means
	// a minute.
	Stall time.Duration
}

// Progress tells how far the download of a file is, or the upload.
type Progress struct {
	Ref     Ref    // the repository, of a download at its commit
	File    string // name in the repository
	Done    int64  // bytes on the disk, or sent
	Total   int64  // bytes of the file
	Sending bool   // an upload
}

// FromEnv reads the variables that Hugging Face's own tools obey: HF_ENDPOINT,
// HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE,
// HF_HUB_DISABLE_IMPLICIT_TOKEN. getenv is usually os.Getenv.
func FromEnv(getenv func(string) string) Options {
	first := func(names ...string) string {
		for _, n := range names {
			if v := strings.TrimSpace(getenv(n)); v != "" {
				return v
			}
		}
		return ""
	}
	home := expandHome(first("HF_HOME"), getenv)
	if home == "" {
		if x := first("XDG_CACHE_HOME"); x != "" {
			home = filepath.Join(expandHome(x, getenv), "huggingface")
		} else {
			home = filepath.Join(userHome(getenv), ".cache", "huggingface")
		}
	}
	o := Options{
		Endpoint: first("HF_ENDPOINT"),
		CacheDir: expandHome(first("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"), getenv),
		Offline:  truthy(first("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")),
	}
	if o.CacheDir == "" {
		o.CacheDir = filepath.Join(home, "hub")
	}
	if truthy(first("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return o
	}
	o.Token = first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
	if o.Token == "" {
		file := expandHome(first("HF_TOKEN_PATH"), getenv)
		if file == "" {
			file = filepath.Join(home, "token")
		}
		// A token that cannot be read is as none: public repositories need none, and
		// the message about a refused one says what to set.
		if b, err := os.ReadFile(file); err == nil {
			o.Token = strings.TrimSpace(string(b))
		}
	}
	return o
}

func truthy(v string) bool {
	return slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(v))
}

func userHome(getenv func(string) string) string {
	if h := getenv("HOME"); h != "" {
		return h
	}
	if h, err := os.UserHomeDir(); err == nil {
		return h
	}
	return "."
}

func expandHome(p string, getenv func(string) string) string {
	if p == "~" || strings.HasPrefix(p, "~/") {
		return filepath.Join(userHome(getenv), p[1:])
	}
	return p
}
