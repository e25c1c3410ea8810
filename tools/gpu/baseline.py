#!/usr/bin/env python3
"""The jobs of tools/gpu/bench with transformers and PEFT.

    python tools/gpu/baseline.py FOLDER/SHAPE.job.json FOLDER [--compile] [--device cuda]

A random model of the job's shape with LoRA adapters (float32), frozen weights in the
job's type, SDPA attention, gradient checkpointing, AdamW, the job's tokens. Writes
FOLDER/SHAPE.training.hf-eager.result.json or hf-compile. Needs torch, transformers and peft.
"""

import argparse
import json
import pathlib
import resource
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM


def measure(job, device, compiled, result):
    c = job["config"]
    dtype = getattr(torch, job["dtype"])
    # Neither the window of Mistral nor tokens that mean something.
    config = AutoConfig.for_model(**c, use_cache=False, sliding_window=None, pad_token_id=None, bos_token_id=None, eos_token_id=None)
    torch.manual_seed(1)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=job["rank"], lora_alpha=job["alpha"], lora_dropout=0.0, target_modules=job["targets"]))
    for p in model.parameters():
        if p.requires_grad:
            p.data = p.data.float()
    model.train()
    opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=job["lr"], betas=(0.9, 0.98), weight_decay=0.01)
    run = torch.compile(model) if compiled else model
    ids = torch.tensor(job["ids"], dtype=torch.long, device=device).view(job["rows"], job["seq"])
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        result["device"] = torch.cuda.get_device_name(device)
    else:
        result["device"] = f"cpu, {torch.get_num_threads()} threads"
    took, losses = [], []
    for _ in range(job["steps"] + 1):
        start = time.perf_counter()
        loss = run(input_ids=ids, labels=ids).loss
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        losses.append(loss.item())  # waits for the device
        took.append(time.perf_counter() - start)
    step = statistics.median(took[1:])
    result.update(
        step_seconds=step, tokens_per_second=ids.numel() / step, compile_seconds=took[0] - step,
        first_loss=losses[0], last_loss=losses[-1],
        peak_bytes=torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        peak_of="torch's allocator" if cuda else "process",
    )


def main():
    p = argparse.ArgumentParser()
    p.add_argument("job")
    p.add_argument("out")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--device", default="cuda")
    a = p.parse_args()
    job = json.loads(pathlib.Path(a.job).read_text())
    system = "hf-compile" if a.compile else "hf-eager"
    result = {"work": "training", "system": system, "shape": job["shape"], "batch": f"{job['rows']}x{job['seq']}", "params": job["params"]}
    try:
        measure(job, a.device, a.compile, result)
    except Exception as e:  # one that does not fit must not end the others
        result["error"] = f"{type(e).__name__}: {e}"
        print(f"baseline: {job['shape']} {system}: {result['error']}", file=sys.stderr)
    (pathlib.Path(a.out) / f"{job['shape']}.training.{system}.result.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
