#!/usr/bin/env python3
"""Writes the golden adapters of internal/lm/lora with PEFT.

    python tools/oracle/lora/make.py internal/lm/decoder/testdata/hf internal/lm/lora/testdata

For two of the decoder's golden checkpoints: an adapter with its logits, and twenty
steps of supervised fine-tuning with AdamW from a given start on given batches. Needs
torch, transformers and peft.
"""

import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

CASES = {
    "llama": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "qwen2": dict(r=3, lora_alpha=9, target_modules=r".*\.(q_proj|k_proj|o_proj|up_proj)", use_rslora=True),
    "gemma3": dict(r=4, lora_alpha=16, target_modules="all-linear"),
}
STEPS, ROWS, SEQ, PROMPT = 20, 4, 16, 5


def main(bases, out):
    for i, (name, kind) in enumerate(CASES.items()):
        folder = pathlib.Path(out) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        torch.manual_seed(i)
        base = AutoModelForCausalLM.from_pretrained(pathlib.Path(bases) / name, dtype=torch.float32, attn_implementation="eager")
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **kind))
        with torch.no_grad():
            for n, p in model.named_parameters():
                if "lora_" in n:
                    p.normal_(0, 0.1)
        model.save_pretrained(folder / "start")
        ids = load_file(pathlib.Path(bases) / name / "golden.safetensors")["ids"].long()
        with torch.no_grad():
            logits = model(ids).logits
        # One batch of rows that repeat a phrase, so that there is something to learn.
        gen = torch.Generator().manual_seed(7 + i)
        batch = torch.randint(3, base.config.vocab_size, (ROWS, 4), generator=gen).repeat(1, SEQ // 4)
        weight = torch.zeros(ROWS, SEQ)
        weight[:, PROMPT:] = 1  # position t is supervised: token t is predicted from what stands before it
        opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01)
        losses = []
        for _ in range(STEPS):
            model.train()
            lg = model(batch).logits[:, :-1]
            nll = torch.nn.functional.cross_entropy(lg.reshape(-1, lg.shape[-1]), batch[:, 1:].reshape(-1), reduction="none")
            loss = (nll * weight[:, 1:].reshape(-1)).sum() / weight[:, 1:].sum()
            opt.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
            opt.step()
            losses.append(loss.item())
        assert losses[-1] < 0.8 * losses[0], losses
        model.save_pretrained(folder / "end")
        for sub in ("start", "end"):
            (folder / sub / "README.md").unlink(missing_ok=True)
        save_file({
            "logits": logits.contiguous(), "batch": batch.float(), "weight": weight, "losses": torch.tensor(losses),
        }, folder / "golden.safetensors")
        print(f"{name:10} loss {losses[0]:.3f} -> {losses[-1]:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
