package providers

import "math"

// What one call takes, in seconds, where nothing else is known: a short answer of a quick
// model, and a long one of a slow model.
const (
	quickCall = 0.3
	slowCall  = 60
	// A batch is done within a day, as the providers promise.
	longestBatch = 24 * 3600
)

// CallSeconds bounds the time, in seconds, that calls take: from least to most of them, with
// leastTokens to mostTokens tokens together, 0 where that is not known. Up to concurrency of
// them run at a time, and no limit a minute is crossed. Under mode: batch the bounds are
// those of a batch. ok is false where there is nothing to bound, or nothing to go by: without
// a limit a minute the time depends on the model alone, of which the last run tells more.
func (o Options) CallSeconds(least, most, leastTokens, mostTokens float64) (from, to float64, ok bool) {
	if !o.paid() || most <= 0 {
		return 0, 0, false
	}
	n := float64(max(o.Concurrency, 1))
	batch := o.Mode == ModeBatch || o.Mode == ModeAuto && most >= float64(o.BatchMin)
	if !batch && o.RPM <= 0 && o.TPM <= 0 {
		return 0, 0, false
	}
	if o.Mode == ModeBatch || o.Mode == ModeAuto && least >= float64(o.BatchMin) {
		return 0, longestBatch, true
	}
	from, to = least*quickCall/n, most*slowCall/n
	minutes := func(amount, limit float64) float64 {
		if limit <= 0 {
			return 0
		}
		return amount / limit * 60
	}
	from = max(from, minutes(least, o.RPM), minutes(leastTokens, o.TPM))
	to = max(to, minutes(most, o.RPM), minutes(mostTokens, o.TPM), from)
	if batch { // it may come to that
		to = max(to, longestBatch)
	}
	return math.Round(from), math.Ceil(to), true
}
