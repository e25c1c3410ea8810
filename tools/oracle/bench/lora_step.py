#!/usr/bin/env python3
"""Times LoRA training steps of random weights with transformers and PEFT.

    python tools/oracle/bench/lora_step.py [SHAPE [STEPS]]

SHAPE is llama6m (the default; 8 x 256 tokens) or gemma270m (4 x 256). Prints tokens per
second and the most memory that the process took as one JSON line. Shapes, batches and
optimizer are those of BenchmarkLoRAStep in internal/lm/causal;
tools/oracle/bench/lora_ratio.sh runs both and prints the ratio. THREADS is how many cores
it may use (default: all). Needs torch, transformers and peft.
"""

import json
import os
import resource
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

SEQ = 256
SHAPES = {
    "llama6m": (8, lambda: LlamaForCausalLM(LlamaConfig(
        vocab_size=4096, hidden_size=256, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=8,
        head_dim=32, intermediate_size=800, max_position_embeddings=SEQ, tie_word_embeddings=True))),
    "gemma270m": (4, lambda: Gemma3ForCausalLM(Gemma3TextConfig(
        vocab_size=262144, hidden_size=640, num_hidden_layers=18, num_attention_heads=4, num_key_value_heads=1,
        head_dim=256, intermediate_size=2048, tie_word_embeddings=True))),
}


def main(shape="llama6m", steps=3):
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("THREADS", os.cpu_count())))
    rows, make = SHAPES[shape]
    base = make()
    total = sum(p.numel() for p in base.parameters())
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=32, lora_dropout=0.0, target_modules=["q_proj", "v_proj"]))
    opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    ids = torch.randint(0, base.config.vocab_size, (rows, SEQ))
    times = []
    for _ in range(int(steps) + 1):
        start = time.perf_counter()
        loss = model(input_ids=ids, labels=ids).loss
        opt.zero_grad()
        loss.backward()
        opt.step()
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times[1:])
    print(json.dumps({"parameters": total, "seconds": seconds, "tokens_per_second": round(rows * SEQ / seconds, 1),
                      "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))


if __name__ == "__main__":
    main(*sys.argv[1:])
