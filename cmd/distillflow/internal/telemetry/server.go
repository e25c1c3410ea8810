package telemetry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
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
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	wait := parallel.Start(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return "http://" + l.Addr().String() + "/metrics", func() error { return errors.Join(srv.Close(), wait()) }, nil
}
