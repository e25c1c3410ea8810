package oci

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci/ocitest"
)

// realEnv names the program of a real registry, such as docker-registry of Debian's
// package of that name.
const realEnv = "DISTILLFLOW_REGISTRY"

// startReal runs the registry with a user ann, password letmein-1234, and gives its
// address.
func startReal(t *testing.T, program string) (host string) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"htpasswd": "ann:$2a$04$50jaduRYJKYG.DUdaTKMfOHF.hZsWvB3d2TBB/eHXWrwX1kpwow3y\n",
		"config.yml": fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\nauth: {htpasswd: {realm: test, path: %q}}\n",
			filepath.Join(dir, "data"), host, filepath.Join(dir, "htpasswd")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(program, "serve", filepath.Join(dir, "config.yml"))
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it is ours, and may be gone
		_ = c.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for range 100 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			_ = resp.Body.Close()
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not answer on %s", program, host)
	return ""
}

func TestRealRegistry(t *testing.T) {
	program := os.Getenv(realEnv)
	if program == "" {
		t.Skip(realEnv + " is not set")
	}
	host := startReal(t, program)
	config := t.TempDir()
	t.Setenv("DOCKER_CONFIG", config)
	data := bundleBytes(t, 64<<20)
	file := write(t, data)
	at := parse(t, Scheme+host+"/team/gsm8k:v1")
	if _, err := Push(t.Context(), at, file, "r.tar.zst", false); !errors.Is(err, ErrAccess) {
		t.Fatalf("pushed without a login: %v", err)
	}
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(`{"auths": {"`+host+`": {"auth": "YW5uOmxldG1laW4tMTIzNA=="}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	took := func(what string, f func()) {
		start := time.Now()
		f()
		t.Logf("%s: %.2f s", what, time.Since(start).Seconds())
	}
	var first Pushed
	var err error
	took("push of 64 MiB", func() { first, err = Push(t.Context(), at, file, "r.tar.zst", false) })
	if err != nil || first.Known {
		t.Fatal(first, err)
	}
	took("the same again", func() {
		if again, err := Push(t.Context(), at, file, "r.tar.zst", false); err != nil || !again.Known || again.Digest != first.Digest {
			t.Errorf("%+v, %v, want %s", again, err, first.Digest)
		}
	})
	if other, err := Push(t.Context(), parse(t, Scheme+host+"/elsewhere:x"), file, "r.tar.zst", false); err != nil || other.Digest != first.Digest {
		t.Errorf("in another repository: %+v, %v, want %s", other, err, first.Digest)
	}
	to := filepath.Join(t.TempDir(), "x.tar.zst")
	took("pull by digest", func() {
		if p, err := Pull(t.Context(), at.At(first.Digest), to, false); err != nil || p.Resumed != 0 {
			t.Errorf("%+v, %v", p, err)
		}
	})
	wants(t, to, data)
	half := filepath.Join(t.TempDir(), "x.tar.zst")
	part := filepath.Join(filepath.Dir(half), ".x.tar.zst."+strings.TrimPrefix(ocitest.Digest(data), "sha256:")[:12]+".part")
	if err := os.WriteFile(part, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	took("pull of the second half", func() {
		if p, err := Pull(t.Context(), at, half, false); err != nil || p.Resumed != int64(len(data)/2) {
			t.Errorf("%+v, %v: want it to go on", p, err)
		}
	})
	wants(t, half, data)
	if _, err := Pull(t.Context(), parse(t, Scheme+host+"/team/gsm8k:v2"), to, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tag that is not there: %v", err)
	}
	if _, err := Pull(t.Context(), parse(t, Scheme+host+"/nowhere:v2"), to, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("a repository that is not there: %v", err)
	}
}
