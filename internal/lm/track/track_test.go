package track

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

var someRun = Run{Name: "moe a+b", Config: map[string]any{"batch": 16, "students": []any{map[string]any{"name": "a", "lr": 1e-6}}, "long": strings.Repeat("x", 40_000)}}

// Without variables nobody hears of a run.
func TestNobodyIsTold(t *testing.T) {
	if ts, err := Open(t.Context(), env(), someRun); len(ts) > 0 || err != nil {
		t.Error(ts, err)
	}
	for _, of := range [][]string{
		{"WANDB_MODE", "online", "WANDB_DIR", t.TempDir()},
		{"MLFLOW_TRACKING_URI", "http://127.0.0.1:1", "DISTILLFLOW_OFFLINE", "1"},
	} {
		if ts, err := Open(t.Context(), env(of...), someRun); len(ts) > 0 || err != nil {
			t.Error(of, ts, err)
		}
	}
}

// fields takes a message apart: the bytes or the number of each field, in their order.
func fields(t *testing.T, b []byte) (out []struct {
	num  protowire.Number
	data []byte
	n    uint64
}) {
	t.Helper()
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal("a broken message")
		}
		b = b[n:]
		f := struct {
			num  protowire.Number
			data []byte
			n    uint64
		}{num: num}
		if typ == protowire.VarintType {
			f.n, n = protowire.ConsumeVarint(b)
		} else {
			f.data, n = protowire.ConsumeBytes(b)
		}
		if n < 0 {
			t.Fatal("a broken message")
		}
		b = b[n:]
		out = append(out, f)
	}
	return out
}

// readLog is the records of a file, each put together from its fragments.
func readLog(t *testing.T, b []byte) (records [][]byte) {
	t.Helper()
	if string(b[:7]) != ":W&B\xe1\xbe\x00" {
		t.Fatalf("the file begins with %q", b[:7])
	}
	var record []byte
	for at := 7; at < len(b); {
		if left := wandbBlock - at%wandbBlock; left < 7 {
			at += left
			continue
		}
		n := int(binary.LittleEndian.Uint16(b[at+4:]))
		body := b[at+6 : at+7+n]
		if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[at:]) {
			t.Fatalf("the checksum at %d is wrong", at)
		}
		record = append(record, body[1:]...)
		if body[0] == 1 || body[0] == 4 {
			records, record = append(records, record), nil
		}
		at += 7 + n
	}
	return records
}

// The file of an offline run has a header, the run with its settings, a row and a summary
// for each step, and the end; records pass the borders of blocks.
func TestWandb(t *testing.T) {
	dir := t.TempDir()
	ts, err := Open(t.Context(), env("WANDB_MODE", "offline", "WANDB_DIR", dir, "WANDB_PROJECT", "p"), someRun)
	if err != nil || len(ts) != 1 {
		t.Fatal(ts, err)
	}
	w := ts[0]
	for step := range 500 {
		// Parts of a step are one row. What is not finite is left out.
		for _, v := range []map[string]float64{{"a/loss": 1.5 / float64(step+1), "x": math.NaN()}, {"z": float64(step)}} {
			if err := w.Log(t.Context(), step, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "wandb", "offline-run-*_*-*", "run-*.wandb"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var kinds []protowire.Number
	rows := map[string]string{}
	for i, r := range readLog(t, b) {
		f := fields(t, r)
		if f[0].num != recordNum || f[0].n != uint64(i+1) {
			t.Fatalf("record %d has the number %d", i, f[0].n)
		}
		kinds = append(kinds, f[1].num)
		if f[1].num == recordRun && !strings.Contains(string(f[1].data), `[{"lr":0.000001,"name":"a"}]`) {
			t.Errorf("the run says %.300q", f[1].data)
		}
		if f[1].num != recordHistory {
			continue
		}
		for _, item := range fields(t, f[1].data) {
			if item.num == 1 {
				x := fields(t, item.data)
				rows[string(x[0].data)] += string(x[1].data) + " "
			}
		}
	}
	want := []protowire.Number{recordHeader, recordRun}
	for range 500 {
		want = append(want, recordSummary, recordHistory)
	}
	if want = append(want, recordExit); !slices.Equal(kinds, want) {
		t.Errorf("records %v", kinds)
	}
	if !strings.HasPrefix(rows["a/loss"], "1.5 0.75 0.5 ") || !strings.HasSuffix(rows["_step"], " 498 499 ") || !strings.HasPrefix(rows["z"], "0 1 2 ") || rows["x"] != "" {
		t.Errorf("%.200v", rows)
	}
}

// A file where the folder should be is an error, not a panic.
func TestWandbWithoutFolder(t *testing.T) {
	at := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(at, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), env("WANDB_MODE", "offline", "WANDB_DIR", at), someRun); err == nil || !strings.HasPrefix(err.Error(), "wandb: ") {
		t.Error(err)
	}
}

// server is a double of MLflow. It answers as the real one does, and remembers.
type server struct {
	*httptest.Server
	experiment bool // is there
	broken     bool
	calls      []string
	metrics    []mlflowMetric
	params     map[string]string
	auth       string
}

func newServer(t *testing.T) *server {
	s := &server{params: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var in struct {
			Metrics []mlflowMetric
			Params  []mlflowText
			Status  string
		}
		_ = json.Unmarshal(b, &in)
		method := strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow/")
		s.calls, s.auth = append(s.calls, method+in.Status), r.Header.Get("Authorization")
		answer := "{}"
		switch {
		case s.broken:
			w.WriteHeader(http.StatusBadGateway)
			return
		case method == "experiments/get-by-name" && !s.experiment:
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment"}`
		case method == "experiments/get-by-name":
			answer = `{"experiment": {"experiment_id": "7"}}`
		case method == "experiments/create":
			answer = `{"experiment_id": "8"}`
		case method == "runs/create":
			answer = `{"run": {"info": {"run_id": "r1"}}}`
		case method == "runs/log-batch":
			if len(in.Metrics) > 1000 || len(in.Params) > 100 {
				t.Errorf("%d metrics, %d params", len(in.Metrics), len(in.Params))
			}
			s.metrics = append(s.metrics, in.Metrics...)
			for _, p := range in.Params {
				s.params[p.Key] = p.Value
			}
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestMLflow(t *testing.T) {
	s := newServer(t)
	ts, err := Open(t.Context(), env("MLFLOW_TRACKING_URI", s.URL+"/", "MLFLOW_TRACKING_TOKEN", "secret"), someRun)
	if err != nil || len(ts) != 1 {
		t.Fatal(ts, err)
	}
	for step := range 700 {
		if err := ts[0].Log(t.Context(), step, map[string]float64{"loss": float64(step), "bad": math.Inf(1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ts[0].Close(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"experiments/get-by-name", "experiments/create", "runs/create", "runs/log-batch", "runs/log-batch", "runs/log-batch", "runs/updateFINISHED"}
	if !slices.Equal(s.calls, want) || s.auth != "Bearer secret" {
		t.Errorf("%v with %s", s.calls, s.auth)
	}
	if len(s.metrics) != 700 || s.metrics[699].Step != 699 || s.metrics[699].Value != 699 || s.metrics[0].Time == 0 {
		t.Errorf("%d metrics, the last %+v", len(s.metrics), s.metrics[len(s.metrics)-1])
	}
	if s.params["batch"] != "16" || s.params["students.0.lr"] != "0.000001" || len(s.params["long"]) != mlflowValue {
		t.Errorf("%.300v", s.params)
	}
}

// How a run ended is told, and an experiment that is there is used.
func TestMLflowEnds(t *testing.T) {
	s := newServer(t)
	s.experiment = true
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, e := range []struct {
		ctx  context.Context
		err  error
		want string
	}{{t.Context(), errors.New("x"), "FAILED"}, {stopped, context.Canceled, "KILLED"}} {
		s.calls = nil
		ts, err := Open(t.Context(), env("MLFLOW_TRACKING_URI", s.URL, "MLFLOW_TRACKING_USERNAME", "u"), Run{})
		if err != nil {
			t.Fatal(err)
		}
		if err := ts[0].Close(e.ctx, e.err); err != nil {
			t.Fatal(err)
		}
		if want := []string{"experiments/get-by-name", "runs/create", "runs/update" + e.want}; !slices.Equal(s.calls, want) || !strings.HasPrefix(s.auth, "Basic ") {
			t.Errorf("%v with %s", s.calls, s.auth)
		}
	}
}

// A slow server is asked every few seconds, not at every step.
func TestMLflowWaits(t *testing.T) {
	s := newServer(t)
	clock := time.Unix(1e9, 0)
	m, err := newMLflow(t.Context(), s.Client(), s.URL, env("MLFLOW_EXPERIMENT_ID", "3"), Run{}, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	for step := range 20 {
		clock = clock.Add(time.Second)
		if err := m.Log(t.Context(), step, map[string]float64{"loss": 1}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"runs/create", "runs/log-batch", "runs/log-batch", "runs/log-batch", "runs/log-batch"}; !slices.Equal(s.calls, want) {
		t.Errorf("%v", s.calls)
	}
}

// Errors name the server, without its password, and what it says.
func TestMLflowErrors(t *testing.T) {
	s := newServer(t)
	s.broken = true
	with := strings.Replace(s.URL, "http://", "http://me:secret@", 1)
	for uri, want := range map[string]string{
		"./mlruns":           "must be the address of a server",
		"sqlite:///x":        "must be the address of a server",
		with:                 "502 Bad Gateway",
		"http://127.0.0.1:1": "connection refused",
	} {
		_, err := Open(t.Context(), env("MLFLOW_TRACKING_URI", uri), someRun)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}
