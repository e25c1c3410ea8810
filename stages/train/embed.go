package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/encoder"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/schema"
)

type embedConfig struct {
	Encoder stage.Path `json:"encoder" required:"true" semantic:"false" doc:"Pretrained sentence encoder: a folder or hf://owner/name of a BERT, MiniLM or RoBERTa model in safetensors. Its content is part of the cache key."`
	Target  string     `json:"student_target" default:"response" choices:"response|reasoning|reasoning+response" doc:"What of a path is embedded, as train-moe has it."`
	Device  string     `json:"device" default:"auto" semantic:"false" doc:"Where to run: auto, cpu, xla, cuda or cuda:N."`
}

// Validate checks what tags cannot.
func (c embedConfig) Validate() error {
	if err := device.Valid(c.Device); err != nil {
		return stage.Invalid("device", "%v", err)
	}
	return nil
}

// Externals implements [stage.Externals]: the encoder's files.
func (c embedConfig) Externals(ctx context.Context) ([]stage.External, error) {
	return encoderFiles(ctx, string(c.Encoder), "encoder")
}

// Revisions implements [stage.Revisions].
func (c embedConfig) Revisions(context.Context) ([]stage.Revision, error) {
	return hubRevisions(string(c.Encoder))
}

// Networked implements [stage.Networked].
func (c embedConfig) Networked() bool { return hub.IsRef(string(c.Encoder)) }

// Estimate implements [stage.Estimator]. How many texts the rows have is not known before
// they are read.
func (c embedConfig) Estimate(context.Context, stage.Question) (stage.Estimate, error) {
	return stage.Estimate{}, nil
}

type embedOut struct {
	Embeddings *stage.Writer[schema.Embedding] `port:"embeddings" doc:"One row for each text, in the order of paths: its SHA-256 and the encoder's vector, of length 1."`
}

type embedIn struct {
	Paths stage.Rows[schema.Problem] `port:"paths" doc:"Problems with answered paths. All of them are embedded that some train-moe could take, whatever their verdict."`
}

// Embed computes the vectors by which a router reads paths.
var Embed = stage.Define(stage.Spec{
	Type:    "embed",
	Version: 1,
	Class:   stage.Pure,
	Doc: `Embeds reasoning paths with a pretrained sentence encoder.
The router of train-moe reads the vectors: from: {paths: ..., embeddings: THIS}. An encoder takes
longer than the hashed words that train-moe reads without one; a stage of its own embeds
once, whatever then changes in routers, students and seeds.`,
	Platform: platform,
}, runEmbed)

// embedWindow is how many texts are embedded between two looks at the context.
const embedWindow = 256

func runEmbed(ctx context.Context, env *stage.Env, c embedConfig, in embedIn, out embedOut) error {
	u := use{prompt: promptPlain, target: Target{StudentTarget: c.Target}}
	paths, _, err := readPaths(in.Paths, u)
	if err != nil {
		return err
	}
	var texts []string
	seen := map[string]bool{}
	for _, p := range paths {
		if p.response != "" && !seen[p.response] {
			seen[p.response] = true
			texts = append(texts, p.response)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	dev, err := openDevice(env, c.Device)
	if err != nil {
		return err
	}
	enc, err := openEncoder(ctx, string(c.Encoder), hub.Options{Progress: fetching(env)}, dev)
	if err != nil {
		return err
	}
	done := 0
	for part := range slices.Chunk(texts, embedWindow) {
		if err := ctx.Err(); err != nil {
			return err
		}
		vectors, err := enc.Encode(part)
		if err != nil {
			return fmt.Errorf("embedding the paths: %w", err)
		}
		for i, v := range vectors {
			unitLength(v)
			if err := out.Embeddings.Write(schema.Embedding{Text: textKey(part[i]), Vector: v}); err != nil {
				return err
			}
		}
		done += len(part)
		env.Progress(stage.Progress{Done: int64(done), Total: int64(len(texts)), Unit: "texts"})
	}
	return nil
}

// openEncoder loads a pretrained encoder.
func openEncoder(ctx context.Context, ref string, o hub.Options, dev *device.Device) (encoder.Encoder, error) {
	dir, err := encoder.Locate(ctx, ref, o)
	if err != nil {
		return nil, fmt.Errorf("encoder: %w", err)
	}
	enc, err := encoder.Load(dir, dev)
	if err != nil {
		return nil, fmt.Errorf("encoder: %w", err)
	}
	return enc, nil
}

// textKey stands for a text in embeddings.
func textKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// readEmbeddings reads what [Embed] wrote: vectors by text.
func readEmbeddings(rows stage.Rows[schema.Embedding]) (map[string][]float32, error) {
	out, dim := map[string][]float32{}, 0
	for e, err := range rows.All() {
		if err != nil {
			return nil, err
		}
		if dim == 0 {
			dim = len(e.Vector)
		}
		if len(e.Vector) == 0 || len(e.Vector) != dim {
			return nil, fmt.Errorf("the input embeddings has vectors of %d and of %d numbers: let one embed stage write them", dim, len(e.Vector))
		}
		out[e.Text] = e.Vector
	}
	if len(out) == 0 {
		return nil, errors.New("the input embeddings is empty")
	}
	return out, nil
}
