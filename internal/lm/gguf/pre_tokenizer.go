package gguf

// preSplit is how a byte-level tokenizer cuts a text before its merges.
type preSplit struct {
	splits       []string // expressions, each cutting the pieces of the one before
	ignoreMerges bool     // a piece that is a token stays whole
	bos          bool     // texts begin with BOS unless the metadata say otherwise
	nfc          bool     // texts are composed first: llama.cpp does not, the models' own tokenizers do
}

const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	words        = `[^\r\n\p{L}\p{N}]?\p{L}+`
	// upper then lower letters, at least one of the last kind, or of the first
	cased = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`
	upper = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`
	signs = ` ?[^\s\p{L}\p{N}]+[\r\n]*`
	paths = ` ?[^\s\p{L}\p{N}]+[\r\n/]*`
	lines = `\s*[\r\n]+`
	space = `\s+(?!\S)|\s+`

	splitGPT2     = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|` + space
	splitLlama3   = contractions + `|` + words + `|\p{N}{1,3}|` + signs + `|` + lines + `|` + space
	splitQwen2    = contractions + `|` + words + `|\p{N}|` + signs + `|` + lines + `|` + space
	splitTekken   = cased + `|` + upper + `|\p{N}|` + paths + `|` + lines + `|` + space
	splitGPT4o    = cased + contractions + `?|` + upper + contractions + `?|\p{N}{1,3}|` + paths + `|` + lines + `|` + space
	splitDeepSeek = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" +
		`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|` + lines + `|` + space
)

// preSplits are those of llama.cpp's (llama-vocab.cpp) that models of a supported
// architecture have, by its names for them (tokenizer.ggml.pre). The expressions are those
// of the models' own tokenizers.
var preSplits = map[string]preSplit{
	"default": {splits: []string{`[\p{P}\$\+<=>\^~\|]+`, splitGPT2, `\p{N}+`, `[0-9][0-9][0-9]`}},

	"llama-bpe": preLlama3, "llama3": preLlama3, "llama-v3": preLlama3, "falcon3": preLlama3, "pixtral": preLlama3, "midm-2.0": preLlama3,
	"smaug-bpe": {splits: []string{splitLlama3}}, "dbrx": {splits: []string{splitLlama3}},
	"tekken": {splits: []string{splitTekken}, ignoreMerges: true, bos: true},
	"gpt-4o": preGpt4o, "llama4": preGpt4o, "kanana2": preGpt4o,

	"qwen2": {splits: []string{splitQwen2}, nfc: true}, "deepseek-r1-qwen": {splits: []string{splitQwen2}, nfc: true},
	"megrez": preQwen2, "kormo": preQwen2, "stablelm2": preQwen2,

	"gpt-2": preGpt2, "phi-2": preGpt2, "olmo": preGpt2, "mpt": preGpt2, "jais": preGpt2, "trillion": preGpt2, "gigachat": preGpt2, "a.x-4.0": preGpt2,
	"mellum": preGpt2, "exaone4": preGpt2,
	"smollm": preDigits, "starcoder": preDigits, "refact": preDigits, "command-r": preDigits, "codeshell": preDigits, "exaone": preDigits, "minerva-7b": preDigits,
	"falcon": {splits: []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", splitGPT2, `[0-9][0-9][0-9]`}},

	"deepseek-llm": {splits: []string{
		`[\r\n]`,
		`\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+`,
		`\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+`,
		`\s+$`,
		`[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+`,
		`\p{N}+`,
	}},
	"deepseek-coder": {splits: []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+`, `\p{N}`}},
	"deepseek-v3":    preDeepseek3, "hunyuan-dense": preDeepseek3, "joyai-llm": preDeepseek3,
	"seed-coder": {splits: []string{contractions + `|` + words + `|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|` + lines + `|` + space}},
	"bloom":      preBloom, "poro-chat": preBloom, "gpt3-finnish": preBloom,
	"viking": {splits: []string{splitBloom, `\p{N}`}},
}

const splitBloom = ` ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+`

var (
	preLlama3    = preSplit{splits: []string{splitLlama3}, ignoreMerges: true, bos: true}
	preGpt4o     = preSplit{splits: []string{splitGPT4o}}
	preQwen2     = preSplit{splits: []string{splitQwen2}}
	preGpt2      = preSplit{splits: []string{splitGPT2}}
	preDigits    = preSplit{splits: []string{`\p{N}`, splitGPT2}}
	preDeepseek3 = preSplit{splits: []string{`\p{N}{1,3}`, `[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+`, splitDeepSeek}}
	preBloom     = preSplit{splits: []string{splitBloom}}
)
