"""Writes the goldens of internal/lm/gguf with the gguf package of llama.cpp.

    python tools/oracle/gguf/make.py internal/lm/gguf/testdata

types.gguf holds for every type a tensor TYPE of a few random blocks and the same
dequantised as TYPE.f32. llama.gguf is a tiny random model as llama.cpp stores it,
whose tensors under their Hugging Face names stand beside it in llama.safetensors.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants
from safetensors.numpy import save_file

TYPES = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL, T.IQ4_XS, T.BF16]
# Bytes in a block that hold half-precision scales.
SCALES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0],
}


def types(out: Path, rng: np.random.Generator) -> None:
    w = gguf.GGUFWriter(out, "llama")
    w.add_string("test.text", "gr\u00fc\u00dfe")
    w.add_array("test.list", [1, 2, 3])
    w.add_float32("test.float", 0.5)
    for t in TYPES:
        elems, size = gguf.GGML_QUANT_SIZES[t]
        rows, blocks = 2, 2 if elems > 1 else 8
        raw = rng.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
        if t == T.BF16:
            raw[..., 1] &= 0xBF  # no NaN
        for at in SCALES.get(t, []):
            d = rng.normal(0, 0.1, (rows, blocks, 1)).astype(np.float16)
            raw[..., at : at + 2] = d.view(np.uint8)
        raw = raw.reshape(rows, blocks * size)
        w.add_tensor(t.name, raw, raw_dtype=t)
        w.add_tensor(t.name + ".f32", quants.dequantize(raw, t).astype(np.float32))
    half = rng.normal(0, 1, (3, 5)).astype(np.float16)
    half[0, 0] = np.float16(6e-8)  # subnormal
    w.add_tensor("F16", half)
    w.add_tensor("F16.f32", half.astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def permute(x: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's converter does to the query and key projections of Llama."""
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def llama(out: Path, rng: np.random.Generator) -> None:
    v, d, f, layers, heads, kv, e = 64, 32, 48, 2, 4, 2, 8
    w = gguf.GGUFWriter(out.with_suffix(".gguf"), "llama")
    w.add_block_count(layers)
    w.add_context_length(128)
    w.add_embedding_length(d)
    w.add_feed_forward_length(f)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_rope_dimension_count(e)
    w.add_rope_freq_base(500000.0)
    w.add_layer_norm_rms_eps(1e-5)
    hf = {}

    def add(name: str, hf_name: str, *shape: int, heads: int = 0, quant: T | None = None) -> None:
        x = rng.normal(0, 0.3, shape).astype(np.float32)
        if quant is not None:  # the numbers that the quantised rows stand for
            x = quants.dequantize(quants.quantize(x, quant), quant)
        hf[hf_name] = x
        y = np.ascontiguousarray(permute(x, heads)) if heads else x
        if quant is None:
            w.add_tensor(name, y)
        else:
            w.add_tensor(name, quants.quantize(y, quant), raw_dtype=quant)

    add("token_embd.weight", "model.embed_tokens.weight", v, d, quant=T.Q8_0)
    for n in range(layers):
        b, h = f"blk.{n}.", f"model.layers.{n}."
        add(b + "attn_norm.weight", h + "input_layernorm.weight", d)
        add(b + "attn_q.weight", h + "self_attn.q_proj.weight", heads * e, d, heads=heads, quant=T.Q8_0)
        add(b + "attn_k.weight", h + "self_attn.k_proj.weight", kv * e, d, heads=kv)
        add(b + "attn_v.weight", h + "self_attn.v_proj.weight", kv * e, d)
        add(b + "attn_output.weight", h + "self_attn.o_proj.weight", d, heads * e)
        add(b + "ffn_norm.weight", h + "post_attention_layernorm.weight", d)
        add(b + "ffn_gate.weight", h + "mlp.gate_proj.weight", f, d)
        add(b + "ffn_up.weight", h + "mlp.up_proj.weight", f, d)
        add(b + "ffn_down.weight", h + "mlp.down_proj.weight", d, f)
    add("output_norm.weight", "model.norm.weight", d)
    add("output.weight", "lm_head.weight", v, d)
    # The rotation of Llama 3.1, as the converter computes it.
    freqs = 1.0 / (500000.0 ** (np.arange(0, e, 2) / e))
    wave = 2 * np.pi / freqs
    smooth = (8192 / wave - 1) / (4 - 1)
    div = np.where(wave < 8192 / 4, 1, np.where(wave > 8192, 8, 1 / ((1 - smooth) / 8 + smooth)))
    w.add_tensor("rope_freqs.weight", div.astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    save_file(hf, out.with_suffix(".safetensors"))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    types(folder / "types.gguf", random)
    llama(folder / "llama", random)
