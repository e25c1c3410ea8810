// Package hf reads Hugging Face tokenizer.json and SentencePiece .model files
// and tokenizes with them: the same ids and the same offsets as the reference
// library gives.
//
// A text runs through five steps, each of which the file configures: added
// tokens are cut out, the normalizer rewrites what is left, the pre-tokenizer
// cuts it into words, the model (BPE, Unigram, WordPiece or WordLevel) cuts words
// into tokens, and the post-processor puts special tokens around them. A decoder
// is the way back.
//
// Offsets survive all of it because a [piece] of text carries, for every byte it
// holds now, the range of the source it came from. They are byte offsets;
// [Encoding.CharOffsets] gives code points, as the reference does in Python.
//
// A component type this package does not know is an error that names it: a
// tokenizer that is nearly right trains a model on the wrong ids.
package hf
