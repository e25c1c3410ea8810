package train

import (
	"maps"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
)

// Router says who gets a path. Fields that are left out stand where the method puts them.
type Router struct {
	Gate       *string           `json:"gate" choices:"learned|random|matched|fixed|all" doc:"Who gets a path: learned: whom the router picks; random: any student, all alike; matched: any student, by the shares of another train-moe's decisions, at the input shares; fixed: the one that table names for its style; all: every student. Left out: learned; with method: none, all."`
	Table      map[string]string `json:"table" doc:"With gate: fixed: the student of each style."`
	Encoder    stage.Path        `json:"encoder" semantic:"false" doc:"Pretrained sentence encoder that the router reads paths with: a folder or hf://owner/name of a BERT, MiniLM or RoBERTa model in safetensors. Without one, hashed words. Its content is part of the cache key."`
	EncoderDim int               `json:"encoder_dim" default:"64" min:"2" doc:"Width of the hashed text encoder; a pretrained one has its own."`
	Hidden     int               `json:"hidden" default:"32" min:"2" doc:"Hidden width of the router."`
	Shuffle    bool              `json:"shuffle" default:"false" doc:"The router reads another path's encoding in place of each path's own: a control, whose decisions should be no better than chance."`
	Tau        Tau               `json:"tau" doc:"Gumbel temperature, which falls evenly over the routed steps."`
	Signal     *string           `json:"signal" choices:"excess|held-out|loss|gain|none" doc:"What the router minimises: excess: a student's loss per byte of the path, less its own mean; held-out: whether another student has a lower loss per byte, on paths that no student trains on, those of half of the problems that dev_fraction holds out; loss: its mean loss per token; gain: the negative learning gain, how fast a step on the path would lower the student's loss on half of the problems that dev_fraction holds out; none: nothing of the students. Left out: excess; paper: loss; original: none."`
	GainEvery  int               `json:"gain_every" default:"10" min:"1" doc:"With signal: gain: steps between gradients of the held-out loss."`
	Balance    *float64          `json:"balance" min:"0" doc:"Weight of the term that keeps one student from getting all paths. Left out: 0.3; paper and original: 0.01."`
	LR         *float64          `json:"lr" doc:"Learning rate of the router. Left out: 0.002; paper and original: 0.0001. Balance acts through a mean over many steps: a router that moves faster than that mean swings from one student to the other."`
}

// Tau is the course of the Gumbel temperature.
type Tau struct {
	Start *float64 `json:"start" doc:"At the first routed step. Left out: 1."`
	End   *float64 `json:"end" doc:"At the last. Left out: 0.5; paper and original: 1."`
}

// Peer says what students learn from each other. Fields that are left out stand where the
// method puts them.
type Peer struct {
	Loss        *string  `json:"loss" choices:"mse|kl|cosine|none" doc:"Distance of a student's states in the common space to the ensemble's: mean square, KL of their softmax, or 1 - cosine; none switches peers off. Left out: mse; with method: none, none."`
	Weight      *float64 `json:"weight" min:"0" doc:"Weight of peer teaching; 0 switches it off. Left out: 0.1."`
	Dim         int      `json:"dim" default:"16" min:"2" doc:"Width of the common space of hidden states."`
	Variance    *float64 `json:"variance" min:"0" doc:"Weight of the variance floor, times weight. Left out: 1; paper and original: 0."`
	Covariance  *float64 `json:"covariance" min:"0" doc:"Weight of the covariance term, times weight. Left out: 0.04; paper and original: 0."`
	Rows        *string  `json:"rows" choices:"routed|all" doc:"Which paths pull a student toward the ensemble: those it trains on, or all, which costs a backward pass over every path. Left out: routed; paper and original: all."`
	LR          *float64 `json:"lr" min:"0" doc:"Learning rate of projections and ensemble weights; 0 freezes them. Left out: 0.01; paper: 0.0001; original: 0, for its optimizer does not know them."`
	Gamma       *float64 `json:"gamma" min:"0" doc:"Weight of the ensemble weights' own loss. Left out: 1; paper: 0.1, as that of peer teaching, which is their loss there; original: 0."`
	Temperature float64  `json:"temperature" default:"0.1" doc:"Temperature that turns losses per byte into the weights that corrected's ensemble learns."`
}

// Quality says which paths are left out. Paths without a verdict stay: the recipe decides
// which stages run.
type Quality struct {
	Correct bool `json:"correct" default:"true" doc:"Leave out paths whose answer was verified wrong."`
	Judged  bool `json:"judged" default:"true" doc:"Leave out paths that were judged invalid."`
}

// The gates.
const (
	gateLearned = "learned"
	gateRandom  = "random"
	gateMatched = "matched"
	gateFixed   = "fixed"
	gateAll     = "all"
)

// Signals of the router.
const (
	signalExcess  = "excess"
	signalHeldOut = "held-out"
	signalLoss    = "loss"
	signalGain    = "gain"
	signalNone    = "none"
)

// Distances of peers.
const (
	peerMSE    = "mse"
	peerKL     = "kl"
	peerCosine = "cosine"
	peerNone   = "none"
)

// What students read.
const (
	promptPlain  = "plain"
	promptStyled = "styled"
)

// Values of Peer.Rows.
const rowsRouted, rowsAll = "routed", "all"

// settings are a config's router and peer with nothing left out.
type settings struct {
	gate, signal                        string
	balance, routerLR                   float64
	tauStart, tauEnd                    float64
	peer                                string
	weight, variance, covariance, gamma float64
	rows                                string
	peerLR                              float64
	prompt                              string
}

// presets are the methods.
func presets() map[string]settings {
	corrected := settings{
		gate: gateLearned, signal: signalExcess, balance: 0.3, routerLR: 0.002, tauStart: 1, tauEnd: 0.5,
		peer: peerMSE, weight: 0.1, variance: 1, covariance: 0.04, gamma: 1, rows: rowsRouted, peerLR: 0.01, prompt: promptPlain,
	}
	none := corrected
	none.gate, none.peer = gateAll, peerNone
	paper := corrected
	paper.signal, paper.balance, paper.routerLR, paper.tauEnd = signalLoss, 0.01, 1e-4, 1
	paper.variance, paper.covariance, paper.gamma, paper.rows, paper.peerLR = 0, 0, 0.1, rowsAll, 1e-4
	original := paper
	original.signal, original.gamma, original.peerLR, original.prompt = signalNone, 0, 0, promptStyled
	return map[string]settings{methodCorrected: corrected, methodPaper: paper, methodOriginal: original, methodNone: none}
}

// settings fills in what the config leaves out.
func (c trainConfig) settings() settings {
	s := presets()[c.Method]
	for _, f := range []struct {
		given *string
		at    *string
	}{{c.Router.Gate, &s.gate}, {c.Router.Signal, &s.signal}, {c.Peer.Loss, &s.peer}, {c.Peer.Rows, &s.rows}, {c.StudentPrompt, &s.prompt}} {
		if f.given != nil {
			*f.at = *f.given
		}
	}
	for _, f := range []struct {
		given *float64
		at    *float64
	}{
		{c.Router.Balance, &s.balance}, {c.Router.LR, &s.routerLR}, {c.Router.Tau.Start, &s.tauStart}, {c.Router.Tau.End, &s.tauEnd},
		{c.Peer.Weight, &s.weight}, {c.Peer.Variance, &s.variance}, {c.Peer.Covariance, &s.covariance}, {c.Peer.Gamma, &s.gamma}, {c.Peer.LR, &s.peerLR},
	} {
		if f.given != nil {
			*f.at = *f.given
		}
	}
	return s
}

// validateMethod gives the complaints about router and peer.
func (c trainConfig) validateMethod(bad func(field []string, format string, args ...any)) {
	s := c.settings()
	for _, f := range []struct {
		at []string
		v  float64
	}{
		{[]string{"router", "tau", "start"}, s.tauStart}, {[]string{"router", "tau", "end"}, s.tauEnd}, {[]string{"router", "lr"}, s.routerLR},
		{[]string{"peer", "temperature"}, c.Peer.Temperature},
	} {
		if !(f.v > 0) {
			bad(f.at, "must be positive")
		}
	}
	if c.Router.Encoder != "" && s.gate != gateLearned {
		bad([]string{"router", "encoder"}, "nothing reads it with gate: %s: leave it out, or set gate: learned", s.gate)
	}
	if c.Router.Shuffle && s.gate != gateLearned {
		bad([]string{"router", "shuffle"}, "nothing reads encodings with gate: %s: leave it out, or set gate: learned", s.gate)
	}
	if s.gate == gateLearned && (s.signal == signalGain || s.signal == signalHeldOut) && c.DevFraction == 0 {
		bad([]string{"router", "signal"}, "%s is measured on held-out problems: set dev_fraction", s.signal)
	}
	switch {
	case s.gate == gateFixed && len(c.Router.Table) == 0:
		bad([]string{"router", "table"}, "gate: fixed needs the student of each style, as in {cot: NAME}")
	case s.gate != gateFixed && len(c.Router.Table) > 0:
		bad([]string{"router", "table"}, "nothing reads it with gate: %s: leave it out, or set gate: fixed", s.gate)
	}
	for _, style := range slices.Sorted(maps.Keys(c.Router.Table)) {
		name := c.Router.Table[style]
		if !slices.ContainsFunc(c.Students, func(x studentConfig) bool { return x.Name == name }) {
			bad([]string{"router", "table", style}, "there is no student %q", name)
		}
	}
}

// MovedFields implements [stage.MovedFields].
func (trainConfig) MovedFields() map[string]string {
	return map[string]string{
		"lambda1": "router.balance", "lambda2": "peer.weight", "lambda_gamma": "peer.gamma", "gamma_temperature": "peer.temperature",
		"tau_start": "router.tau.start", "tau_end": "router.tau.end", "router_lr": "router.lr", "router_dim": "router.hidden",
		"encoder": "router.encoder", "encoder_dim": "router.encoder_dim",
		"peer_rows": "peer.rows", "peer_variance": "peer.variance", "peer_covariance": "peer.covariance", "peer_dim": "peer.dim", "peer_lr": "peer.lr",
	}
}
