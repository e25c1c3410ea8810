#!/usr/bin/env python3
"""Loads what distillflow wrote with PEFT and transformers, and compares logits.

    mkdir OUT
    DISTILLFLOW_ORACLE_OUT=$PWD/OUT go test -count=1 -run WriteForOracle -v ./internal/lm/merge
    python tools/oracle/lora/load_ours.py OUT

For every base in OUT (small random checkpoints; DISTILLFLOW_ORACLE_BASES="DIR FILE.gguf" names
others, by absolute paths): PEFT lays each adapter on the base, all of them on one model and each in
turn, and transformers loads each merged folder. The logits must be those of the Go program within
1e-4 times their standard deviation (or 1). The type of a merged folder must be the one it was written
as, and where there is a tokenizer its ids are compared. Needs torch, transformers, peft.
"""

import json
import pathlib
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}


def logits(model, ids):
    with torch.no_grad():
        return model.eval()(ids).logits[0, -8:].float()


def load(path, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager")


def main(out):
    failed = 0
    for meta_file in sorted(pathlib.Path(out).glob("*/meta.json")):
        folder, meta = meta_file.parent, json.loads(meta_file.read_text())
        ours = load_file(folder / "ours.safetensors")
        ids = ours["ids"].long()

        def check(what, got, name):
            nonlocal failed
            want = ours[name].reshape(got.shape)
            worst, scale = (got - want).abs().max().item(), max(1.0, want.std().item())
            moved = (ours["base"] - ours[name]).abs().max().item()
            bad = not worst <= TOLERANCE * scale
            failed += bad
            print(f"{folder.name:22} {what:34} off by {worst:.2e}, std {want.std().item():6.2f}, adapter moves {moved:8.3f}{'  WRONG' if bad else ''}")

        def failure(text):
            nonlocal failed
            failed += 1
            print(f"{folder.name:22} {text}  WRONG")

        adapters = sorted(p.parent.name for p in folder.glob("*/adapter_config.json"))
        if not meta["base"].endswith(".gguf"):
            model = load(meta["base"])
            check("base", logits(model, ids), "base")
            model = PeftModel.from_pretrained(model, folder / adapters[0], adapter_name=adapters[0])
            for name in adapters[1:]:
                model.load_adapter(folder / name, adapter_name=name)
            for name in adapters + adapters[:1]:
                model.set_adapter(name)
                check(f"PEFT, adapter {name}", logits(model, ids), name)
            del model
        for merged in sorted(p.parent for p in folder.glob("*/config.json")):
            name, kind = merged.name.rsplit("-", 1)
            check(f"merged {name} as {kind}", logits(load(merged), ids), merged.name)
            if kind == "F32":
                check(f"merged {name} against adapter", logits(load(merged), ids), name)
            if (dtype := load(merged, "auto").dtype) != DTYPES[kind]:
                failure(f"{merged.name} loads as {dtype}")
            if "text" in meta and AutoTokenizer.from_pretrained(merged)(meta["text"]).input_ids != ids[0].tolist():
                failure(f"{merged.name}: the tokenizer gives other ids")
    print("FAILED" if failed else "all equal")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
