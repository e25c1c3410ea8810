package telemetry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Serve answers /metrics at an address, such as 127.0.0.1:9464, until stop is called. url
// is where.
func Serve(addr string, m *Metrics) (url string, stop func() error, err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m)
	srv := &http.Server{Handler: local(mux, l.Addr()), ReadHeaderTimeout: 5 * time.Second}
	wait := parallel.Start(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return "http://" + l.Addr().String() + "/metrics", func() error { return errors.Join(srv.Close(), wait()) }, nil
}

// local lets only those through who call a server of this machine by a name of this
// machine: a page elsewhere can give any other name the address of the loopback interface,
// and then read what is answered. Whoever listens on another interface shows the figures
// to a network, in which names are not known here.
func local(next http.Handler, addr net.Addr) http.Handler {
	if listens, err := netip.ParseAddrPort(addr.String()); err != nil || !listens.Addr().IsLoopback() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); !strings.EqualFold(name, "localhost") && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "This server is not called by that name. Ask for the address that the run printed.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
