package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/web"
	"github.com/distillflow/distillflow/flow/store"
)

func (a app) uiCmd() *cobra.Command {
	var f storeFlags
	var addr, export string
	var public bool
	c := &cobra.Command{
		Use:   "ui [RECIPE|STORE]",
		Short: "Show runs and records in a browser",
		Long: `ui serves the store of a recipe, or the store here, as pages: runs, one run as it goes
on, and the records of its outputs with search and filters, made for reading what
models wrote. The first line on standard output is the address to open. Its token lets one in;
keep it to yourself. ui runs until it is interrupted. Nothing is sent anywhere.

By default ui listens on this machine only, on a free port. --addr names another
address; one that other machines reach needs --public. The connection is not encrypted:
over a network prefer a tunnel, as ssh -L gives.

--export writes the newest run as static pages into a folder instead, for somebody who
has no store: the run, its figures and tables, and the first records of each output.`,
		Example: `  distillflow ui recipes/gsm8k.yaml
  ssh -L 8080:127.0.0.1:8080 host distillflow ui --addr 127.0.0.1:8080`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if err := checkAddr(addr, public); err != nil {
				return usageError{fmt.Errorf("--addr %s: %w", addr, err)}
			}
			recipe := optional(pos, 0)
			if recipe != "" && !runrecord.IsRecipe(recipe) {
				f.dir, recipe = storeIn(recipe), ""
				if err := checkStore(f.dir); err != nil {
					return usageError{err}
				}
			}
			st, err := f.open(a, recipe, false) // folders may have to be laid out
			if err != nil {
				return err
			}
			reg, err := registry()
			if err != nil {
				return errors.Join(err, st.Close())
			}
			s, err := web.New(web.Options{Store: st, Registry: reg, Recipe: recipe, Public: public})
			if err != nil {
				return errors.Join(err, st.Close())
			}
			if export != "" {
				return errors.Join(a.exportRun(c.Context(), s, st, cmp.Or(recipe, "last"), export), st.Close())
			}
			return errors.Join(a.serve(c.Context(), addr, s), st.Close())
		},
	}
	f.add(c)
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:0", "listen on this `address`; port 0: a free one")
	c.Flags().StringVar(&export, "export", "", "write the newest run as static pages into this new `folder`, and end")
	c.Flags().BoolVar(&public, "public", false, "allow addresses that other machines reach")
	return c
}

// storeIn is the store that a folder is, or holds.
func storeIn(dir string) string {
	if info, err := os.Stat(filepath.Join(dir, defaultStore)); err == nil && info.IsDir() {
		return filepath.Join(dir, defaultStore)
	}
	return dir
}

// checkStore refuses what is there and no store: to open it would leave a lock in a
// folder of somebody else's. A store by its usual name may be empty yet.
func checkStore(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || filepath.Base(dir) == defaultStore && err == nil && info.IsDir() {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, "version")); err != nil {
		return fmt.Errorf("%s is no store: name a recipe, a store, or the folder with a %s", dir, defaultStore)
	}
	return nil
}

func checkAddr(addr string, public bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if !public && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return errors.New("other machines may reach it, and the connection is not encrypted; add --public if that is wanted")
	}
	return nil
}

func (a app) exportRun(ctx context.Context, s *web.Server, st *store.Store, name, dir string) error {
	r, err := a.readRun(st, name)
	if err != nil {
		return err
	}
	switch err := s.Export(ctx, r, dir); {
	case errors.Is(err, web.ErrNotEmpty):
		return usageError{fmt.Errorf("--export: %w", err)}
	case err != nil:
		return fmt.Errorf("--export: %w", err)
	}
	fmt.Fprintln(a.out, filepath.Join(dir, "index.html"))
	return nil
}

// serve prints the address and serves until the context ends.
func (a app) serve(ctx context.Context, addr string, s *web.Server) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return usageError{fmt.Errorf("--addr %s: %w; port 0 takes a free one", addr, err)}
	}
	u := url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/", RawQuery: url.Values{"token": {s.Token()}}.Encode()}
	if _, err := fmt.Fprintln(a.out, u.String()); err != nil {
		return errors.Join(err, l.Close())
	}
	server := http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog:    log.New(a.notes(), "distillflow: ", 0),
		BaseContext: func(net.Listener) context.Context { return ctx }, // pages that go on end with it
	}
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			_ = server.Close()
		}
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
