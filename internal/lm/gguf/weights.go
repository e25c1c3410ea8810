package gguf

import (
	"fmt"
	"slices"
	"strings"
)

// Weights gives a model's tensors as a Hugging Face checkpoint has them: under its
// names, with the rows of Llama's query and key projections in its order, and with
// Gemma's norms without the 1 that llama.cpp adds to them.
type Weights struct {
	file   *File
	arch   string
	heads  int
	kv     int
	byName map[string]int
}

// layerNames maps the middle of blk.N.X.weight to Hugging Face names.
var layerNames = map[string]string{
	"attn_norm": "input_layernorm",
	"attn_q":    "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
	"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
	"post_attention_norm": "post_attention_layernorm", "ffn_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
	"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}

// unused are tensors whose content is elsewhere: in the configuration.
var unused = []string{"rope_freqs.weight"}

// Weights prepares the tensors of a model. A tensor that no supported architecture
// has is an error: leaving it out would give wrong numbers without a sign.
func (f *File) Weights() (*Weights, error) {
	arch, _ := f.Metadata["general.architecture"].(string)
	m := &meta{f: f, arch: arch}
	w := &Weights{file: f, arch: arch, byName: map[string]int{}}
	w.heads = m.count("attention.head_count", -1)
	w.kv = m.count("attention.head_count_kv", w.heads)
	if m.err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, m.err)
	}
	for i, t := range f.tensors {
		if slices.Contains(unused, t.Name) {
			continue
		}
		name, ok := w.rename(t.Name)
		if !ok {
			return nil, fmt.Errorf("%s: tensor %q is not known in architecture %s", f.Path, t.Name, arch)
		}
		w.byName[name] = i
		if w.turned(name) != 0 && (len(t.Shape) < 1 || t.Shape[0]%(2*w.turned(name)) != 0) {
			return nil, fmt.Errorf("%s: tensor %q has shape %v, which does not divide into %d heads", f.Path, t.Name, t.Shape, w.turned(name))
		}
	}
	return w, nil
}

// rename gives the Hugging Face name of a tensor.
func (w *Weights) rename(name string) (string, bool) {
	switch name {
	case "token_embd.weight":
		return "model.embed_tokens.weight", true
	case "output_norm.weight":
		return "model.norm.weight", true
	case "output.weight":
		return "lm_head.weight", true
	}
	parts := strings.Split(name, ".")
	if len(parts) != 4 || parts[0] != "blk" || parts[3] != "weight" && parts[3] != "bias" {
		return "", false
	}
	middle, ok := layerNames[parts[2]]
	if parts[2] == "ffn_norm" && (w.arch == "gemma2" || w.arch == "gemma3") {
		middle = "pre_feedforward_layernorm"
	}
	return "model.layers." + parts[1] + "." + middle + "." + parts[3], ok
}

// turned is the number of heads whose rows lie in another order, or 0. llama.cpp
// rotates neighbouring pairs in models of type llama, Hugging Face the two halves of
// a head.
func (w *Weights) turned(name string) int {
	if w.arch != "llama" {
		return 0
	}
	switch {
	case strings.Contains(name, ".q_proj."):
		return w.heads
	case strings.Contains(name, ".k_proj."):
		return w.kv
	}
	return 0
}

// Names lists the tensors by their Hugging Face names, sorted.
func (w *Weights) Names() []string {
	names := make([]string, 0, len(w.byName))
	for n := range w.byName {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// File is the path of the file that the tensor called name lies in.
func (w *Weights) File(string) string { return w.file.Path }

// Stored returns the tensor behind a Hugging Face name as it stands in the file.
func (w *Weights) Stored(name string) (Tensor, error) {
	i, ok := w.byName[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: the model has no tensor %q", w.file.Path, name)
	}
	return w.file.tensors[i], nil
}

// Shape is the shape of the tensor called name.
func (w *Weights) Shape(name string) ([]int, error) {
	t, err := w.Stored(name)
	return t.Shape, err
}

// Read converts the numbers of a tensor from index first on, as many as out takes.
// Both must be whole rows (of the last axis), or a vector as a whole.
func (w *Weights) Read(name string, out []float32, first int) error {
	t, err := w.Stored(name)
	if err != nil {
		return err
	}
	if heads := w.turned(name); heads != 0 {
		err = readTurned(t, out, first, heads)
	} else {
		err = t.Decode(out, first)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.file.Path, err)
	}
	if strings.HasPrefix(w.arch, "gemma") && strings.HasSuffix(name, "norm.weight") {
		for i := range out {
			out[i]--
		}
	}
	return nil
}

// readTurned reads rows whose order within a head is (i, half) and wanted (half, i).
func readTurned(t Tensor, out []float32, first, heads int) error {
	cols := t.Len() / t.Shape[0]
	if len(t.Shape) == 1 {
		// A vector may be stored in blocks, its rows are single numbers: read it whole.
		all := make([]float32, t.Len())
		if err := t.Decode(all, 0); err != nil {
			return err
		}
		for i := range out {
			out[i] = all[turnedRow(first+i, t.Shape[0]/heads)]
		}
		return nil
	}
	if first%cols != 0 || len(out)%cols != 0 {
		return fmt.Errorf("tensor %q: %d numbers from %d on do not fill whole rows", t.Name, len(out), first)
	}
	for r := range len(out) / cols {
		from := turnedRow(first/cols+r, t.Shape[0]/heads)
		if err := t.Decode(out[r*cols:(r+1)*cols], from*cols); err != nil {
			return err
		}
	}
	return nil
}

// turnedRow is where row r of a Hugging Face projection lies, with heads of e rows.
func turnedRow(r, e int) int {
	head, in := r/e, r%e
	return head*e + in%(e/2)*2 + in/(e/2)
}
