package train

import (
	"slices"

	"github.com/distillflow/distillflow/internal/lm/causal"
)

// Values of the field method.
const (
	methodCorrected = "corrected"
	methodPaper     = "paper"
	methodOriginal  = "original"
	methodNone      = "none"
)

// routing is how the main phase shares paths out between the students.
type routing struct {
	gate   string
	table  map[string]string  // gateFixed: the student of a style
	shares map[string]float64 // gateMatched: of the paths, by student
	signal string

	gainEvery int // steps between gradients of the held-out loss

	losses  []term // of the router
	encoder string // pretrained, which the router reads paths with; "" is hashed words
	// By text, in place of an encoder; nil without.
	embeddings       map[string][]float32
	hashedDim        int  // width of hashed words' encodings
	shuffle          bool // the router reads another path's encoding
	hidden           int  // width of the router
	tauStart, tauEnd float64
	lr               float64 // of the router

	peerDim int     // width of the common space of hidden states
	peerLR  float64 // of the projections to it and of the ensemble's weights
	allRows bool    // peers teach on every path, not on a student's own alone

	// What corrected mends.
	rawStates    bool // states in the common space are not normalised
	rawEncodings bool // the router reads what all paths share, too
	byIndex      bool // states are compared at the same index, not where the text is the same
	pullsBack    bool // the peers' loss moves a student through the ensemble too
}

// A method fixes the students' losses, the first of which is the cross-entropy, and
// how paths are routed. Its config is not looked at any more after that.

// supervised is plain fine-tuning: cross-entropy on every path.
func supervised() (losses []term) { return []term{crossEntropy()} }

// method is what the config's method asks for. Without router and peers there is no
// routing: the main phase is like the warm-up.
func (c trainConfig) method(s settings) (losses []term, r *routing) {
	losses = supervised()
	peers := s.peer != peerNone && s.weight > 0
	pullsBack := peers && c.Method == methodPaper && s.peer == peerMSE
	if peers {
		losses = append(losses, peer(s.peer, s.weight, pullsBack))
		if s.variance > 0 || s.covariance > 0 {
			losses = append(losses, peerVariance(s.weight*s.variance), peerCovariance(s.weight*s.covariance))
		}
	}
	if s.gate == gateAll && !peers {
		return losses, nil
	}
	r = &routing{
		gate: s.gate, table: c.Router.Table, signal: s.signal, gainEvery: c.Router.GainEvery,
		encoder: string(c.Router.Encoder), hashedDim: c.Router.EncoderDim, hidden: c.Router.Hidden, shuffle: c.Router.Shuffle,
		tauStart: s.tauStart, tauEnd: s.tauEnd, lr: s.routerLR,
		peerDim: c.Peer.Dim, peerLR: s.peerLR, allRows: s.rows == rowsAll, pullsBack: pullsBack,
	}
	if s.gate == gateLearned {
		if s.signal != signalNone {
			r.losses = append(r.losses, route())
		}
		switch c.Method {
		case methodPaper:
			r.losses = append(r.losses, balanceGates(s.balance))
		case methodOriginal:
			r.losses = append(r.losses, balanceStudents(s.balance))
		default:
			r.losses = append(r.losses, balance(s.balance))
		}
	}
	r.rawStates, r.byIndex = c.Method == methodPaper || c.Method == methodOriginal, c.Method == methodOriginal
	r.rawEncodings = r.rawStates
	switch {
	case r.pullsBack:
		r.losses = append(r.losses, gammaPeers(s.gamma))
	case peers && s.gamma > 0:
		r.losses = append(r.losses, gamma(s.gamma, c.Peer.Temperature))
	}
	return losses, r
}

// gains reports whether the router learns from learning gains.
func (g *routing) gains() bool {
	return g != nil && g.gate == gateLearned && g.signal == signalGain
}

// holdsOut reports whether the router learns from problems of its own.
func (g *routing) holdsOut() bool {
	return g.gains() || g != nil && g.gate == gateLearned && g.signal == signalHeldOut
}

// peers reports whether a student's loss reads its states in the space that all share.
func (p *plan) peers() bool {
	return p.route != nil && slices.ContainsFunc(p.losses, func(t term) bool { return slices.Contains(t.Reads, causal.InZ) })
}
