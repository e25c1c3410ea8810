#!/usr/bin/env python3
"""Writes a real checkpoint's logits and greedy text by transformers, for the test of
internal/lm/causal that DISTILLFLOW_MODEL_DIR switches on:

    python tools/oracle/decoder/real.py MODEL_DIR OUT.safetensors
    DISTILLFLOW_MODEL_DIR=MODEL_DIR DISTILLFLOW_MODEL_GOLDEN=OUT.safetensors go test -run Real ./internal/lm/causal
"""

import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXT = ("The capital of France is Paris. A baker has 12 eggs and uses 5 of them for a cake, so 7 eggs are left. "
        "Question: Ann has 3 apples and buys 4 more. How many apples does she have? Answer:")
NEW = 24


def main(model_dir, out):
    tok = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()
    ids = tok(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits[0, -8:].contiguous()
        new, gaps = [], []
        for _ in range(NEW):
            top = model(ids).logits[0, -1].topk(2)
            new.append(top.indices[0].item())
            gaps.append((top.values[0] - top.values[1]).item())
            ids = torch.cat([ids, top.indices[:1].view(1, 1)], 1)
    save_file({"ids": ids[0, :-NEW].float(), "logits": logits, "new": torch.tensor(new).float(), "gaps": torch.tensor(gaps)}, out)
    print(repr(tok.decode(new)))


if __name__ == "__main__":
    main(*sys.argv[1:])
