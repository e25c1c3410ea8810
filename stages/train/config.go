package train

import (
	"errors"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/decoder"
)

// studentConfig describes one student.
type studentConfig struct {
	Name      string  `json:"name" required:"true" doc:"Name in logs, scores and the models folder."`
	Arch      string  `json:"arch" default:"llama" choices:"llama|gemma" doc:"Decoder variant."`
	DModel    int     `json:"d_model" default:"32" min:"8" doc:"Width of the residual stream."`
	Layers    int     `json:"layers" default:"2" min:"1" doc:"Number of layers."`
	Heads     int     `json:"heads" default:"2" min:"1" doc:"Attention heads; the head width is d_model/heads."`
	KVHeads   int     `json:"kv_heads" default:"0" doc:"Key/value heads; 0 means as many as heads."`
	FFN       int     `json:"ffn" default:"0" doc:"Feed-forward width; 0 means twice d_model."`
	Tied      bool    `json:"tied" default:"false" doc:"Share the embedding with the output matrix, as Gemma does. Students this small learn faster with two."`
	Tokenizer string  `json:"tokenizer" default:"word" choices:"word|bpe" doc:"Kind of tokenizer, trained from the kept paths."`
	Vocab     int     `json:"vocab" default:"2048" min:"32" doc:"Largest vocabulary. Few and simple texts give a smaller one."`
	LR        float64 `json:"lr" default:"0.004" doc:"Peak learning rate."`
}

// decoderConfig is the decoder of the student.
func (s studentConfig) decoderConfig(vocab, maxSeq int) decoder.Config {
	c := decoder.Config{
		Arch: decoder.Arch(s.Arch), Vocab: vocab, Dim: s.DModel, Layers: s.Layers, Heads: s.Heads,
		KVHeads: s.KVHeads, FFN: s.FFN, MaxSeq: maxSeq, Tied: s.Tied,
	}
	return c.WithDefaults()
}

// trainConfig is the config of train-moe.
type trainConfig struct {
	Method   string          `json:"method" default:"corrected" choices:"corrected" doc:"Which losses; corrected is the published method with the parts replaced that cannot learn."`
	Students []studentConfig `json:"students" default:"[{\"name\":\"llama\",\"arch\":\"llama\",\"tokenizer\":\"word\"},{\"name\":\"gemma\",\"arch\":\"gemma\",\"tokenizer\":\"bpe\"}]" doc:"The students, two or more."`

	TrainRows     int    `json:"train_rows" default:"0" min:"0" doc:"Use at most this many problems, from the start; 0 means all."`
	StudentPrompt string `json:"student_prompt" default:"plain" choices:"plain" doc:"What students read: the plain question."`
	MaxSeq        int    `json:"max_seq" default:"512" min:"8" doc:"Longest sequence in tokens; longer paths are dropped, never cut."`

	WarmupSteps int     `json:"warmup_steps" default:"600" min:"0" doc:"Steps of plain cross-entropy on all paths before routing: routing splits the paths, and students that cannot yet write tell the router nothing."`
	WarmupBatch int     `json:"warmup_batch" default:"8" min:"1" doc:"Paths per student and step of the warm-up."`
	Epochs      int     `json:"epochs" default:"2" min:"0" doc:"Routed passes over the paths."`
	MaxSteps    int     `json:"max_steps" default:"0" min:"0" doc:"Stop routing after this many steps; 0 means after the epochs."`
	Batch       int     `json:"batch" default:"16" min:"2" doc:"Paths per routed step."`
	LRWarmup    int     `json:"lr_warmup" default:"20" min:"0" doc:"Steps over which the learning rate rises; then it falls along a cosine."`
	LRFloor     float64 `json:"lr_floor" default:"0.05" min:"0" max:"1" doc:"Final learning rate as a share of the peak."`
	WeightDecay float64 `json:"weight_decay" default:"0.01" min:"0" doc:"AdamW weight decay on matrices."`
	ClipNorm    float64 `json:"clip_norm" default:"1" min:"0" doc:"Largest gradient norm of a student; 0 is off."`

	Lambda1   float64    `json:"lambda1" default:"0.3" min:"0" doc:"Weight of the balance term."`
	Lambda2   float64    `json:"lambda2" default:"0.1" min:"0" doc:"Weight of peer teaching; 0 switches it off."`
	PeerRows  string     `json:"peer_rows" default:"routed" choices:"routed|all" doc:"Which paths pull a student toward the ensemble: those it trains on, or all, which costs a backward pass over every path."`
	PeerVar   float64    `json:"peer_variance" default:"1" min:"0" doc:"Weight of the variance floor, times lambda2."`
	PeerCov   float64    `json:"peer_covariance" default:"0.04" min:"0" doc:"Weight of the covariance term, times lambda2."`
	PeerDim   int        `json:"peer_dim" default:"16" min:"2" doc:"Width of the common space of hidden states."`
	Gamma     float64    `json:"lambda_gamma" default:"1" min:"0" doc:"Weight of the ensemble weights' own loss."`
	GammaTemp float64    `json:"gamma_temperature" default:"0.1" doc:"Temperature that turns losses per byte into ensemble weights."`
	TauStart  float64    `json:"tau_start" default:"1" doc:"Gumbel temperature at the first routed step."`
	TauEnd    float64    `json:"tau_end" default:"0.5" doc:"Gumbel temperature at the last."`
	PeerLR    float64    `json:"peer_lr" default:"0.01" doc:"Learning rate of projections and ensemble weights."`
	RouterLR  float64    `json:"router_lr" default:"0.002" doc:"Learning rate of the router. Balance acts through a mean over many steps: a router that moves faster than that mean swings from one student to the other."`
	RouterDim int        `json:"router_dim" default:"32" min:"2" doc:"Hidden width of the router."`
	EncDim    int        `json:"encoder_dim" default:"64" min:"2" doc:"Width of the hashed text encoder; a pretrained one has its own."`
	Encoder   stage.Path `json:"encoder" semantic:"false" doc:"Pretrained sentence encoder that the router reads paths with: a folder or hf://owner/name of a BERT, MiniLM or RoBERTa model in safetensors. Without one, hashed words. Its content is part of the cache key."`

	LogEvery        int    `json:"log_every" default:"20" min:"1" doc:"Steps between metrics."`
	CheckpointEvery int    `json:"checkpoint_every" default:"50" min:"1" semantic:"false" doc:"Steps between checkpoints in the scratch folder. A run that was killed goes on from the last one, to the same bits."`
	Device          string `json:"device" default:"auto" semantic:"false" doc:"Where to train: auto or cpu."`
}

// Validate checks what tags cannot.
func (c trainConfig) Validate() error {
	var errs []error
	bad := func(path []string, format string, args ...any) {
		errs = append(errs, stage.FieldError{Path: path, Msg: fmt.Sprintf(format, args...)})
	}
	if len(c.Students) < 2 {
		bad([]string{"students"}, "%d given, need at least two", len(c.Students))
	}
	seen := map[string]bool{}
	for i, s := range c.Students {
		at := func(field string) []string { return []string{"students", fmt.Sprint(i), field} }
		switch {
		case s.Name == "" || s.Name == untrainedDir || !fileName(s.Name):
			bad(at("name"), "%q cannot name a folder: use letters, digits, - and _", s.Name)
		case seen[s.Name]:
			bad(at("name"), "%q is used twice", s.Name)
		}
		seen[s.Name] = true
		if err := s.decoderConfig(s.Vocab, c.MaxSeq).Validate(); err != nil {
			bad([]string{"students", fmt.Sprint(i)}, "%v", err)
		}
		if !(s.LR > 0) {
			bad(at("lr"), "must be positive")
		}
	}
	for _, f := range []struct {
		name string
		v    float64
	}{{"tau_start", c.TauStart}, {"tau_end", c.TauEnd}, {"router_lr", c.RouterLR}, {"peer_lr", c.PeerLR}, {"gamma_temperature", c.GammaTemp}} {
		if !(f.v > 0) {
			bad([]string{f.name}, "must be positive")
		}
	}
	return errors.Join(errs...)
}

func fileName(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return true
}
