// Package local answers requests with a published model in this process: a
// checkpoint folder, a GGUF file or hf://owner/name, on a CPU or GPU of this
// machine, through internal/lm/causal.
//
// Requests that wait at the same time and sample alike are answered in one batch.
// A model is loaded when it is first asked and shared by all that ask it through
// the same [Models]. What a request draws depends on itself alone, never on the
// batch it came in.
package local

// Name is the name of the provider, before the slash of a model.
const Name = "local"
