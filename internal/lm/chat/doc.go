// Package chat lays conversations out as a model was trained to read them.
//
// A tokenizer's chat template is a Jinja program that turns messages into text.
// [Load] finds it beside a model, [Template.Render] runs it, [Template.Example]
// makes a training example of a conversation and says which bytes carry loss: the
// completion and the token that ends the turn, so that the model learns to stop.
// [Encode] turns an example into tokens, with one BOS and a mask by offsets.
//
// A base model has no template. It gets [Plain]: the messages' texts, each ended by
// a line break, and the answer ended by EOS:
//
//	BOS  system "\n"  user "\n"  assistant EOS
//
// A template comes with a model somebody published, so it is not trusted: it cannot
// read files, and what it can loop over and write is bounded.
package chat
