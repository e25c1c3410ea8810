#!/usr/bin/env python3
"""Writes the goldens of internal/lm/nf4 and internal/lm/optim with bitsandbytes.

    python tools/oracle/nf4/make.py internal/lm/decoder/testdata/hf internal/lm/nf4/testdata internal/lm/optim/testdata

NF4 with double quantisation of tensors that are normal, have outliers, hold a block of
zeros, or end in a part of a block, and of the projections of a golden checkpoint; and
twenty steps of AdamW with 8-bit states. Needs torch and bitsandbytes (CPU).
"""

import pathlib
import sys

import bitsandbytes as bnb
import bitsandbytes.functional as F
import bitsandbytes.backends.cpu.ops as cpu_ops
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from safetensors.torch import load_file, save_file

STEPS = 20

# bitsandbytes' portable dequantisation. Its AVX-512 kernel for the CPU (0.50.2) takes the
# wrong scales where the rows of a matrix are not whole blocks: for [32, 96] normal values
# it is 2.0 off, the portable one 0.39 as are all others.
portable = getattr(_dequantize_4bit_compute, "__wrapped__", _dequantize_4bit_compute)


def cases(hf):
    gen = torch.Generator().manual_seed(3)
    normal = torch.randn(32, 96, generator=gen) * 0.02
    outliers = torch.randn(32, 128, generator=gen) * 0.02
    outliers[torch.rand(32, 128, generator=gen) < 0.01] *= 20
    zeros = torch.randn(16, 64, generator=gen)
    zeros[3] = 0
    ragged = torch.randn(7, 30, generator=gen)
    many = torch.randn(300, 64, generator=gen) * torch.rand(300, 1, generator=gen)  # more than one block of scales
    out = {"normal": normal, "bf16": normal.bfloat16().float(), "outliers": outliers, "zeros": zeros, "ragged": ragged, "many": many}
    for name, t in load_file(pathlib.Path(hf) / "gemma2" / "model.safetensors").items():
        if "layers.0" in name and name.endswith("proj.weight"):
            out[name] = t.float()
    return out


def nf4(hf, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    out = {"levels": F.get_4bit_type("nf4", device="cpu"), "signed": F.create_dynamic_map(True), "unsigned": F.create_dynamic_map(False)}
    for name, t in cases(hf).items():
        t = t.contiguous()
        packed, state = F.quantize_4bit(t, blocksize=64, compress_statistics=True, quant_type="nf4")
        single, plain = F.quantize_4bit(t, blocksize=64, compress_statistics=False, quant_type="nf4")
        assert torch.equal(packed, single)
        out[name + ".weight"] = t
        # Bytes as floats: the files that the tests read hold float32 only.
        out[name + ".codes"] = packed.flatten().float()
        out[name + ".absmax"] = plain.absmax
        out[name + ".scales"] = state.absmax.float()
        out[name + ".tops"] = state.state2.absmax
        out[name + ".offset"] = state.offset.reshape(1)
        # Dequantised from the nested state: scales first, then the weights.
        absmax = F.dequantize_blockwise(state.absmax, state.state2) + state.offset
        for suffix, dtype in (("", torch.float32), ("_bf16", torch.bfloat16)):
            out[name + ".dequantised" + suffix] = portable(packed.reshape(-1), absmax.float(), plain.code, 64, t.shape, dtype).float()
    save_file({k: v.contiguous().float().clone() for k, v in out.items()}, folder / "nf4.safetensors")
    print(f"{len(out)} tensors")


def nearest(a, code, absmax_out, out, blocksize):
    """Quantises to the nearest level, as the CUDA and the portable kernels do: the kernel
    for float32 on the CPU looks levels up on a grid of 3e-5 and is levels off near zero.
    For float64 it searches."""
    q, absmax = torch.ops.bitsandbytes.quantize_blockwise(a.double(), code, blocksize)
    out.copy_(q)
    absmax_out.copy_(absmax)


def adam(folder):
    cpu_ops._quant_blockwise_fp32_direct = nearest
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    gen = torch.Generator().manual_seed(5)
    out = {}
    shapes = {"matrix": (33, 130)}  # above the least size and not a whole number of blocks
    params = {n: torch.nn.Parameter(torch.randn(*s, generator=gen) * 0.1) for n, s in shapes.items()}
    for n, p in params.items():
        out[n + ".start"] = p.detach().clone()
    kw = dict(lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01)
    exact = {n: torch.nn.Parameter(p.detach().clone()) for n, p in params.items()}
    opt = bnb.optim.AdamW8bit(list(params.values()), **kw)
    ref = torch.optim.AdamW(list(exact.values()), **kw)
    for step in range(STEPS):
        for n, p in params.items():
            g = torch.randn(p.shape, generator=gen) * 10 ** (torch.rand(p.shape, generator=gen) - 3)
            p.grad, exact[n].grad = g.clone(), g.clone()
            out[f"{n}.grad{step}"] = g
        opt.step()
        ref.step()
        for n, p in params.items():
            if step in (0, 1, STEPS - 1):
                out[f"{n}.after{step}"] = p.detach().clone()
    for n, p in params.items():
        out[n + ".exact"] = exact[n].detach()
        out[n + ".m_codes"] = opt.state[p]["state1"].float()
        out[n + ".v_codes"] = opt.state[p]["state2"].float()
        out[n + ".m_scales"] = opt.state[p]["absmax1"]
        out[n + ".v_scales"] = opt.state[p]["absmax2"]
        moved = (p - exact[n]).norm() / (exact[n] - out[n + ".start"]).norm()
        print(f"{n}: 8-bit states are {moved:.3f} of the way off after {STEPS} steps")
    save_file({k: v.contiguous().float().clone() for k, v in out.items()}, folder / "adamw8bit.safetensors")


if __name__ == "__main__":
    hf, to_nf4, to_optim = sys.argv[1:]
    nf4(hf, to_nf4)
    adam(to_optim)
