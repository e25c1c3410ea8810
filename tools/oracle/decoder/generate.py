#!/usr/bin/env python3
"""Writes greedy continuations of the decoder's golden checkpoints by transformers.

    python tools/oracle/decoder/generate.py internal/lm/decoder/testdata/hf internal/lm/generate/testdata

Each prompt is continued by itself, without padding. For every new token the gap
between the two best logits is written down: where it is tiny, another order of
summation may choose otherwise.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM

LENGTHS, NEW = [3, 11, 5, 8, 2, 13, 7, 4], 25


def main(bases, out):
    for i, folder in enumerate(sorted(p.parent for p in pathlib.Path(bases).glob("*/config.json"))):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        gen = torch.Generator().manual_seed(i)
        rows = []
        for n in LENGTHS:
            ids = torch.randint(3, model.config.vocab_size, (1, n), generator=gen)
            prompt, gaps = ids[0].tolist(), []
            for _ in range(NEW):
                with torch.no_grad():
                    top = model(ids).logits[0, -1].topk(2)
                gaps.append(round((top.values[0] - top.values[1]).item(), 6))
                ids = torch.cat([ids, top.indices[:1].view(1, 1)], 1)
            rows.append(dict(prompt=prompt, new=ids[0, n:].tolist(), gaps=gaps))
        path = pathlib.Path(out) / (folder.name + ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
        print(folder.name, "smallest gap", min(min(r["gaps"]) for r in rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
