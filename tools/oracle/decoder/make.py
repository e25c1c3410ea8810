#!/usr/bin/env python3
"""Writes the golden checkpoints of internal/lm/decoder with Hugging Face transformers.

For every family, or for those named after the folder, a tiny random checkpoint, its hidden states and logits in float32,
and its logits in bfloat16:

    python tools/oracle/decoder/make.py internal/lm/decoder/testdata/hf

Needs torch, transformers and safetensors. The sequences are longer than the sliding
window, and the weights are large enough that every feature shows in the logits.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

SIZES = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
WINDOW = 6
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)
# Most pairs are blended, and the ends of the blend lie between pairs.
BLENDED = dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16, beta_fast=1.0,
               beta_slow=0.05, mscale=0.8, mscale_all_dim=2.0, truncate=False)
MIXED = ["sliding_attention", "full_attention"] * 2

FAMILIES = {
    "llama": ("LlamaConfig", dict(tie_word_embeddings=False)),
    "llama3-rope-tied": ("LlamaConfig", dict(tie_word_embeddings=True, rope_parameters=LLAMA3)),
    "llama-biases-linear": ("LlamaConfig", dict(attention_bias=True, mlp_bias=True,
                                                rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0))),
    "mistral": ("MistralConfig", dict(sliding_window=WINDOW)),
    "qwen2": ("Qwen2Config", dict(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=2)),
    "qwen3": ("Qwen3Config", dict(tie_word_embeddings=True)),
    "gemma": ("GemmaConfig", dict(num_key_value_heads=1)),
    "gemma2": ("Gemma2Config", dict(sliding_window=WINDOW, layer_types=MIXED, query_pre_attn_scalar=12,
                                    attn_logit_softcapping=3.0, final_logit_softcapping=4.0)),
    "gemma3": ("Gemma3TextConfig", dict(sliding_window=WINDOW, layer_types=MIXED, query_pre_attn_scalar=12,
                                        num_key_value_heads=1, rope_parameters={
                                            "full_attention": dict(rope_type="linear", rope_theta=1e6, factor=8.0),
                                            "sliding_attention": dict(rope_type="default", rope_theta=10000.0)})),
    "qwen2-yarn": ("Qwen2Config", dict(rope_parameters=YARN)),
    "llama-yarn-blended": ("LlamaConfig", dict(tie_word_embeddings=False, rope_parameters=BLENDED)),
}


def randomise(model, seed):
    """Draws every parameter large enough to matter, norms and biases included."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.normal_(0, 0.25, generator=g)
            elif name.endswith("bias"):
                p.normal_(0, 0.5, generator=g)
            else:
                p.add_(torch.randn(p.shape, generator=g) * 0.3)


def main(out, *names):
    for i, (name, (kind, extra)) in enumerate(FAMILIES.items()):
        if names and name not in names:
            continue
        config = getattr(transformers, kind)(**{**SIZES, **extra})
        config._attn_implementation = "eager"
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        randomise(model, 100 + i)
        ids = torch.randint(3, SIZES["vocab_size"], (2, 20), generator=torch.Generator().manual_seed(i))
        with torch.no_grad():
            got = model(ids, output_hidden_states=True)
            spread = got.logits.std().item()
            assert spread >= 1, f"{name}: logits have a standard deviation of {spread}"
            folder = pathlib.Path(out) / name
            folder.mkdir(parents=True, exist_ok=True)
            model.save_pretrained(folder)
            (folder / "generation_config.json").unlink(missing_ok=True)
            half = model.to(torch.bfloat16)(ids).logits.float()
        save_file({
            "ids": ids.float(), "hidden": got.hidden_states[-1].contiguous(),
            "layer1": got.hidden_states[1].contiguous(), "logits": got.logits.contiguous(), "logits_bf16": half.contiguous(),
        }, folder / "golden.safetensors")
        print(f"{name:22} logits std {spread:.2f}, bf16 error {(half - got.logits).abs().max():.3f}")
    if names:
        return
    (pathlib.Path(out) / "VERSIONS.json").write_text(json.dumps(
        {"torch": torch.__version__, "transformers": transformers.__version__}, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
