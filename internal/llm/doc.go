// Package llm is how the rest of the program talks to a language model that answers
// prompts: one Client interface, and one Transport that stands between a caller and
// any client and owns everything a network and a bill ask for.
//
// Vocabulary:
//
//   - A Client sends one Request to one provider and returns its Response, or an error.
//     It neither retries nor remembers. The packages below this one (openai, simulated)
//     each hold one client.
//   - A Provider is a Client together with the name and endpoint it answers for.
//   - A Transport wraps a Provider with a concurrency limit that adapts to the provider,
//     a request-rate limit, retries, per-request timeouts, a Budget, a Memo of answers
//     that are already paid for, and counters.
//   - Batches buys answers through a provider's batch API and puts them into the memo, where
//     the Transport finds them.
//   - Limiters shares the limits of providers among the Transports of a process.
//   - A Memo maps a RequestKey to a completed answer. The interface is declared here, on
//     the side that uses it; any store can implement it.
//   - A Hint is what the simulated teacher may know about a row. The Transport removes it
//     before any other provider sees the request.
//
// The package imports nothing of this module but its ground floor.
package llm
