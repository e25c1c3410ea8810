// Package track tells experiment trackers of a training while it goes on: wandb, by the
// folder of an offline run, and MLflow, by the REST interface of its server.
//
// Which of them hear of it says the environment, in the trackers' own variables.
package track

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Run is what a tracker is told at the beginning.
type Run struct {
	Name   string
	Config map[string]any // as JSON encodes it
}

// Tracker hears of one run. It belongs to one goroutine.
type Tracker interface {
	// Name is the tracker's, for messages.
	Name() string
	// Log gives values at a step. Steps do not fall. Some may be kept back for a while.
	Log(ctx context.Context, step int, values map[string]float64) error
	// Close ends the run: finished, failed or, where its context ended, stopped.
	Close(ctx context.Context, err error) error
}

// defaultProject is where runs go that the environment gives no project.
const defaultProject = "distillflow"

// Open begins a run at every tracker that getenv names, and joins the errors of those that
// could not:
//
//	WANDB_MODE=offline   a folder for `wandb sync` below WANDB_DIR, or the current folder;
//	                     WANDB_PROJECT and WANDB_ENTITY say where it goes then
//	MLFLOW_TRACKING_URI  a server, http or https; MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID
//	                     say where, MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and
//	                     MLFLOW_TRACKING_PASSWORD, who asks; not with DISTILLFLOW_OFFLINE=1
func Open(ctx context.Context, getenv func(string) string, r Run) ([]Tracker, error) {
	var out []Tracker
	var errs []error
	add := func(t Tracker, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		out = append(out, t)
	}
	if getenv("WANDB_MODE") == "offline" {
		t, err := newWandb(filepath.Join(getenv("WANDB_DIR"), "wandb"), getenv("WANDB_ENTITY"), cmp.Or(getenv("WANDB_PROJECT"), defaultProject), r, time.Now)
		add(t, err)
	}
	offline := strings.TrimSpace(getenv("DISTILLFLOW_OFFLINE"))
	if uri := getenv("MLFLOW_TRACKING_URI"); uri != "" && (offline == "" || offline == "0") {
		t, err := newMLflow(ctx, &http.Client{Timeout: mlflowTimeout}, uri, getenv, r, time.Now)
		add(t, err)
	}
	return out, errors.Join(errs...)
}

// finite are the values that JSON can hold, by name.
func finite(values map[string]float64) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if v := values[name]; v-v == 0 {
			names = append(names, name)
		}
	}
	return names
}

// makeFolder makes a folder that nobody has.
func makeFolder(parent, name string) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	dir := filepath.Join(parent, name)
	return dir, os.Mkdir(dir, 0o755)
}
