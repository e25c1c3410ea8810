#!/usr/bin/env python3
"""Times LoRA training steps of a 6.3M-parameter Llama with transformers and PEFT.

    python tools/oracle/bench/lora_step.py [steps]

Prints tokens per second as one JSON line. The shape, batch and optimizer are those of
BenchmarkLoRAStep in internal/lm/causal; tools/oracle/bench/lora_ratio.sh runs both and
prints the ratio. Needs torch, transformers and peft.
"""

import json
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

ROWS, SEQ = 8, 256


def main(steps=3):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    base = LlamaForCausalLM(LlamaConfig(
        vocab_size=4096, hidden_size=256, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=8,
        head_dim=32, intermediate_size=800, max_position_embeddings=SEQ, tie_word_embeddings=True))
    total = sum(p.numel() for p in base.parameters())
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=32, lora_dropout=0.0, target_modules=["q_proj", "v_proj"]))
    opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    ids = torch.randint(0, 4096, (ROWS, SEQ))
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        loss = model(input_ids=ids, labels=ids).loss
        opt.zero_grad()
        loss.backward()
        opt.step()
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times[1:])
    print(json.dumps({"parameters": total, "seconds": seconds, "tokens_per_second": ROWS * SEQ / seconds}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
