package track

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	mlflowTimeout = 10 * time.Second // of a request
	mlflowEvery   = 5 * time.Second  // between requests, so that a slow server does not slow training
	mlflowBatch   = 500              // metrics of a request; the server takes 1,000
	mlflowParams  = 100              // parameters of a request, at most
	mlflowValue   = 500              // longest value of a parameter that all servers take, in bytes
)

// mlflow tells an MLflow server, by its REST interface 2.0
// (https://mlflow.org/docs/latest/api_reference/rest-api.html).
type mlflow struct {
	client *http.Client
	uri    *url.URL
	auth   func(*http.Request)
	run    string
	now    func() time.Time
	sent   time.Time
	wait   []mlflowMetric
}

type mlflowMetric struct {
	Key   string  `json:"key"`
	Value float64 `json:"value"`
	Time  int64   `json:"timestamp"` // ms since 1970
	Step  int     `json:"step"`
}

type mlflowText struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func newMLflow(ctx context.Context, client *http.Client, uri string, getenv func(string) string, r Run, now func() time.Time) (*mlflow, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("mlflow: MLFLOW_TRACKING_URI must be the address of a server, such as http://localhost:5000: its folders and databases are not written")
	}
	m := &mlflow{client: client, uri: u, now: now, sent: now()}
	token, user, password := getenv("MLFLOW_TRACKING_TOKEN"), getenv("MLFLOW_TRACKING_USERNAME"), getenv("MLFLOW_TRACKING_PASSWORD")
	m.auth = func(req *http.Request) {
		switch {
		case token != "":
			req.Header.Set("Authorization", "Bearer "+token)
		case user != "":
			req.SetBasicAuth(user, password)
		}
	}
	experiment := getenv("MLFLOW_EXPERIMENT_ID")
	if experiment == "" {
		if experiment, err = m.experiment(ctx, cmp.Or(getenv("MLFLOW_EXPERIMENT_NAME"), defaultProject)); err != nil {
			return nil, err
		}
	}
	var made struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := m.post(ctx, "runs/create", map[string]any{"experiment_id": experiment, "run_name": r.Name, "start_time": now().UnixMilli()}, &made); err != nil {
		return nil, err
	}
	m.run = made.Run.Info.ID
	return m, m.params(ctx, r.Config)
}

// experiment finds an experiment by its name, or makes it.
func (m *mlflow) experiment(ctx context.Context, name string) (id string, err error) {
	var found struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	err = m.call(ctx, http.MethodGet, "experiments/get-by-name?experiment_name="+url.QueryEscape(name), nil, &found)
	if err == nil {
		return found.Experiment.ID, nil
	}
	var missing *mlflowError
	if !errors.As(err, &missing) || missing.Code != "RESOURCE_DOES_NOT_EXIST" {
		return "", err
	}
	var made struct {
		ID string `json:"experiment_id"`
	}
	err = m.post(ctx, "experiments/create", map[string]any{"name": name}, &made)
	return made.ID, err
}

// params sends a configuration, whose parts get names with dots.
func (m *mlflow) params(ctx context.Context, config map[string]any) error {
	b, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("mlflow: %w", err)
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return fmt.Errorf("mlflow: %w", err)
	}
	var list []mlflowText
	var walk func(name string, v any)
	walk = func(name string, v any) {
		of := func(key string) string { return strings.TrimPrefix(name+"."+key, ".") }
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(of(key), v[key])
			}
		case []any:
			for i, x := range v {
				walk(of(fmt.Sprint(i)), x)
			}
		case nil:
		default:
			s := fmt.Sprint(v)
			list = append(list, mlflowText{name, strings.ToValidUTF8(s[:min(len(s), mlflowValue)], "")})
		}
	}
	walk("", tree)
	for part := range slices.Chunk(list, mlflowParams) {
		if err := m.post(ctx, "runs/log-batch", map[string]any{"run_id": m.run, "params": part}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (m *mlflow) Name() string { return "mlflow" }

// Log implements [Tracker]. Values wait for others, a few seconds at the most.
func (m *mlflow) Log(ctx context.Context, step int, values map[string]float64) error {
	for _, name := range finite(values) {
		m.wait = append(m.wait, mlflowMetric{name, values[name], m.now().UnixMilli(), step})
	}
	if len(m.wait) < mlflowBatch && m.now().Sub(m.sent) < mlflowEvery {
		return nil
	}
	return m.flush(ctx)
}

func (m *mlflow) flush(ctx context.Context) error {
	for part := range slices.Chunk(m.wait, mlflowBatch) {
		if err := m.post(ctx, "runs/log-batch", map[string]any{"run_id": m.run, "metrics": part}, nil); err != nil {
			return err
		}
	}
	m.wait, m.sent = m.wait[:0], m.now()
	return nil
}

// Close implements [Tracker].
func (m *mlflow) Close(ctx context.Context, err error) error {
	status := "FINISHED"
	switch {
	case ctx.Err() != nil:
		status = "KILLED"
	case err != nil:
		status = "FAILED"
	}
	ctx = context.WithoutCancel(ctx)
	if err := m.flush(ctx); err != nil {
		return err
	}
	return m.post(ctx, "runs/update", map[string]any{"run_id": m.run, "status": status, "end_time": m.now().UnixMilli()}, nil)
}

// mlflowError is what the server says of a request that it refuses.
type mlflowError struct {
	Status  string `json:"-"`
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

func (e *mlflowError) Error() string {
	return strings.TrimSpace(e.Status + " " + cmp.Or(e.Message, e.Code))
}

func (m *mlflow) post(ctx context.Context, method string, in, out any) error {
	return m.call(ctx, http.MethodPost, method, in, out)
}

// call asks the server. Errors name it, without its password.
func (m *mlflow) call(ctx context.Context, verb, method string, in, out any) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("mlflow: %s: %s: %w", m.uri.Redacted(), method, err)
		}
	}()
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, verb, strings.TrimSuffix(m.uri.String(), "/")+"/api/2.0/mlflow/"+method, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	m.auth(req)
	resp, err := m.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the rest repeats the address
		}
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		e := &mlflowError{Status: resp.Status}
		_ = json.Unmarshal(text, e) // a proxy may say something else; the status tells enough
		return e
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
