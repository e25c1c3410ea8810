package train

import (
	"slices"

	"github.com/distillflow/distillflow/internal/lm/causal"
)

// routing is how the main phase shares paths out between the students.
type routing struct {
	losses           []term // of the router
	encoder          string // pretrained, which the router reads paths with; "" is hashed words
	hashedDim        int    // width of hashed words' encodings
	hidden           int    // width of the router
	tauStart, tauEnd float64
	lr               float64 // of the router

	peerDim int     // width of the common space of hidden states
	peerLR  float64 // of the projections to it and of the ensemble's weights
	allRows bool    // peers teach on every path, not on a student's own alone
}

// A method fixes the students' losses, the first of which is the cross-entropy, and
// how paths are routed. Its config is not looked at any more after that.

// supervised is plain fine-tuning: cross-entropy on every path.
func supervised() (losses []term) { return []term{crossEntropy()} }

// corrected is the published method with the parts replaced that cannot learn.
func corrected(c trainConfig) (losses []term, r *routing) {
	losses = supervised()
	if c.Lambda2 > 0 {
		losses = append(losses, peer(c.Lambda2), peerVariance(c.Lambda2*c.PeerVar), peerCovariance(c.Lambda2*c.PeerCov))
	}
	return losses, &routing{
		losses:  []term{route(), balance(c.Lambda1), gamma(c.Gamma, c.GammaTemp)},
		encoder: string(c.Encoder), hashedDim: c.EncDim, hidden: c.RouterDim,
		tauStart: c.TauStart, tauEnd: c.TauEnd, lr: c.RouterLR,
		peerDim: c.PeerDim, peerLR: c.PeerLR, allRows: c.PeerRows == "all",
	}
}

// peers reports whether a student's loss reads its states in the space that all share.
func (p *plan) peers() bool {
	return p.route != nil && slices.ContainsFunc(p.losses, func(t term) bool { return slices.Contains(t.Reads, causal.InZ) })
}
