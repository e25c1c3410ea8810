package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// The files of a learned router in the models folder.
const (
	routerFile    = "router.json"
	routerWeights = "router.safetensors"
	routerFormat  = 1
)

// routerInfo describes a learned router. Its outputs are the students of models.json.
type routerInfo struct {
	Format  int         `json:"format"`
	Encoder textEncoder `json:"encoder"`
	Digest  string      `json:"digest"` // of the encoder: what encoder.Encoder calls itself
	Hidden  int         `json:"hidden"`
	Peers   int         `json:"peers"` // width of the ensemble's weights
}

// saveRouter writes the router, where it has learned anything. One that reads embeddings
// stays behind: what made them is not known here, and questions have none.
func (t *trainer) saveRouter(models string) error {
	if t.router == nil || t.plan.route.gate != gateLearned || t.plan.route.embeddings != nil || len(t.paths) == 0 {
		return nil
	}
	if bad := t.router.params.FirstNonFinite(); bad != "" {
		return fmt.Errorf("router: tensor %s is not finite after training", bad)
	}
	info := routerInfo{Format: routerFormat, Encoder: t.textEncoder(), Digest: t.encoder, Hidden: t.plan.route.hidden, Peers: t.plan.route.peerDim}
	// Without the revision, which a lock may have put there: the same training leaves the
	// same bytes. Digest tells whether it is the same encoder.
	if hub.IsRef(info.Encoder.Ref) {
		ref, err := hub.Parse(info.Encoder.Ref, hub.Model)
		if err != nil {
			return err
		}
		info.Encoder.Ref = ref.At("").String()
	}
	if err := checkpoint.WriteJSON(filepath.Join(models, routerFile), info); err != nil {
		return err
	}
	return checkpoint.WriteFile(filepath.Join(models, routerWeights), t.router.params)
}

// errOtherEncoder says that there is no asking the router.
var errOtherEncoder = errors.New("the text encoder is not the one that the router was trained with: put that one back, or train again")

// readRouter reads the router of a models folder; params are nil where it has none. Nothing
// is wider than the file has numbers for.
func readRouter(models string, students int) (info routerInfo, params weights.Set, err error) {
	err = checkpoint.ReadJSON(filepath.Join(models, routerFile), &info)
	if errors.Is(err, fs.ErrNotExist) {
		return info, nil, nil
	}
	if err != nil {
		return info, nil, err
	}
	if info.Format != routerFormat {
		return info, nil, fmt.Errorf("%s: format %d, this version reads %d: train again", routerFile, info.Format, routerFormat)
	}
	if params, err = checkpoint.ReadFile(filepath.Join(models, routerWeights)); err != nil {
		return info, nil, err
	}
	if len(params) != rCount || !slices.Equal(params[rB1].Dims, []int{info.Hidden}) ||
		!slices.Equal(params[rW2].Dims, []int{students, info.Hidden}) || !slices.Equal(params[rGamma].Dims, []int{students, info.Peers}) {
		return info, nil, fmt.Errorf("%s is not the router that %s describes, with %d outputs", filepath.Join(models, routerWeights), routerFile, students)
	}
	return info, params, nil
}

// routedPicks gives, for each text, the student that the router of a models folder prefers,
// by its noise-free scores; nil where the folder has no router.
func routedPicks(ctx context.Context, dev *device.Device, models string, students int, texts []string, o hub.Options) ([]int, error) {
	info, params, err := readRouter(models, students)
	if err != nil || params == nil {
		return nil, err
	}
	enc, dim, name, err := info.Encoder.encode(ctx, dev, texts, o)
	if err != nil {
		return nil, err
	}
	if name != info.Digest {
		return nil, errOtherEncoder
	}
	if len(params[rW1].Data) != info.Hidden*dim {
		return nil, fmt.Errorf("%s reads encodings of another width than the %d of its encoder", routerWeights, dim)
	}
	r, err := newRouter(dev, nil, students, dim, info.Hidden, info.Peers, 0)
	if err != nil {
		return nil, err
	}
	if err := r.params.SameShapes(params); err != nil {
		return nil, fmt.Errorf("%s: %w", routerWeights, err)
	}
	r.params = params
	var flat []float32
	for _, e := range enc {
		flat = append(flat, e...)
	}
	scores, err := r.Scores(flat, len(texts))
	if err != nil {
		return nil, err
	}
	picks := make([]int, len(texts))
	for i, l := range scores {
		for s, v := range l {
			if v > l[picks[i]] {
				picks[i] = s
			}
		}
	}
	return picks, nil
}
