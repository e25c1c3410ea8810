#!/usr/bin/env python3
"""Times greedy decoding of a batch with transformers' generate.

    python tools/oracle/bench/greedy.py FOLDER NEW RUNS [THREADS]

FOLDER is a checkpoint; where it has none, one of the 6.3M-parameter Llama shape is
written there first. Prompts, batch and number of new tokens are those of
BenchmarkGreedy in internal/lm/generate; tools/oracle/bench/generate_ratio.sh runs both
and prints the ratio. Prints one JSON line: tokens per second of the median run, and the
tokens of each row. Needs torch and transformers.
"""

import json
import pathlib
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ROWS, PROMPT = 8, 32


def main(folder, new, runs, threads="2"):
    new, runs = int(new), int(runs)
    torch.manual_seed(0)
    torch.set_num_threads(int(threads))
    if not pathlib.Path(folder, "config.json").exists():
        LlamaForCausalLM(LlamaConfig(
            vocab_size=4096, hidden_size=256, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=8,
            head_dim=32, intermediate_size=800, max_position_embeddings=2048, tie_word_embeddings=True,
            initializer_range=0.06)).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    vocab = model.config.vocab_size
    ids = torch.tensor([[3 + (i * 7919 + r * 104729) % (vocab - 3) for i in range(PROMPT)] for r in range(ROWS)])
    mask = torch.ones_like(ids)
    model.generation_config.eos_token_id = None  # every row gets all its tokens
    times, out = [], None
    with torch.no_grad():
        for _ in range(runs + 1):
            start = time.perf_counter()
            out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=new, pad_token_id=0)
            times.append(time.perf_counter() - start)
    seconds = statistics.median(times[1:])
    print(json.dumps({"tokens_per_second": ROWS * new / seconds, "rows": out[:, PROMPT:].tolist()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
