// Package pretrained opens published language models, wherever they lie: on the
// Hugging Face Hub (hf://owner/name@revision), in a folder as transformers writes
// it, or in a GGUF file. It gives their configuration, the files of their
// tokenizer, the ids that end a text, and their weights, tensor by tensor in the
// layout of the decoder, straight to the device.
package pretrained
