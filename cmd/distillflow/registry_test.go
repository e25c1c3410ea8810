package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci/ocitest"
)

// registryKey is where a script's registry is kept.
type registryKey struct{}

// cmdRegistry serves OCI artifacts: `registry up [USER PASSWORD]` sets $REGISTRY to its
// host and port and takes away all logins, `registry login USER PASSWORD` writes one as
// Docker does, `registry uploads N` compares the number of uploads since it went up.
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: registry up [USER PASSWORD] | login USER PASSWORD | uploads N")
	}
	at, _ := ts.Value(registryKey{}).(**ocitest.Server)
	switch {
	case args[0] == "up":
		*at = ocitest.New()
		ts.Defer((*at).Close)
		ts.Setenv("REGISTRY", (*at).Host)
		ts.Setenv("DOCKER_CONFIG", ts.MkAbs("docker"))
		if len(args) == 3 {
			(*at).With(func(s *ocitest.Server) { s.User, s.Password = args[1], args[2] })
		}
	case args[0] == "login" && len(args) == 3:
		auth := base64.StdEncoding.EncodeToString([]byte(args[1] + ":" + args[2]))
		ts.Check(os.MkdirAll(ts.MkAbs("docker"), 0o700))
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs("docker"), "config.json"), []byte(`{"auths": {"`+(*at).Host+`": {"auth": "`+auth+`"}}}`), 0o600))
	case args[0] == "uploads" && len(args) == 2:
		n := 0
		(*at).With(func(s *ocitest.Server) {
			for _, r := range s.Requests {
				if strings.HasPrefix(r, "PUT ") && strings.Contains(r, "/uploads/") {
					n++
				}
			}
		})
		if args[1] != strconv.Itoa(n) {
			ts.Fatalf("%d uploads, want %s", n, args[1])
		}
	default:
		ts.Fatalf("usage: registry up [USER PASSWORD] | login USER PASSWORD | uploads N")
	}
}
