#!/usr/bin/python3
"""The training iteration of atelier-bench as a PyTorch user would write it: a worker of contrib/compare-pytorch.

    pytorch_llama.py FILE THREADS

FILE is what `atelier-bench start` wrote: sizes, parameters, windows. Each line on standard input is a task, each answered
by one line of JSON on standard output, after a line that tells about PyTorch and the model:

    check N      the losses of the first N iterations of the step
    run FORM N   seconds of N further iterations, FORM being eager or traced (torch.jit.trace)
    loss FILE    the mean loss over the windows in FILE

One matrix for q, k and v, one for gate and up; attention by baddbmm, softmax and bmm; AdamW over lists of tensors
("foreach"); gradients dropped, not zeroed, between iterations. Of the ways to write it that were tried, none was faster."""
import ctypes
import json
import math
import os
import sys
import time

import torch
from torch import nn
from torch.nn import functional

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "test"))
from reference.model import EPSILON, ROTARY_BASE
from reference.step import BETA_1, BETA_2, EPSILON as ADAMW_EPSILON

IGNORED = -100  # a target that cross_entropy does not count


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * self.weight


class Attention(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        d, self.heads, self.ctx = sizes["d"], sizes["heads"], sizes["ctx"]
        self.head = d // self.heads
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        frequency = ROTARY_BASE ** (-torch.arange(0, self.head, 2) / self.head)
        angle = torch.arange(self.ctx)[:, None] * frequency
        self.register_buffer("cosine", torch.cat([angle.cos(), angle.cos()], -1))
        self.register_buffer("sine", torch.cat([-angle.sin(), angle.sin()], -1))
        self.register_buffer("mask", torch.full((self.ctx, self.ctx), -math.inf).triu(1))

    def rotate(self, x):
        return x * self.cosine + torch.roll(x, self.head // 2, -1) * self.sine

    def forward(self, x):
        rows, group = x.size(0), (-1, self.ctx, self.head)
        q, k, v = self.qkv(x).view(rows, self.ctx, 3, self.heads, self.head).permute(2, 0, 3, 1, 4).unbind(0)
        q, k, v = self.rotate(q).reshape(group), self.rotate(k).reshape(group), v.reshape(group)
        scores = torch.baddbmm(self.mask, q, k.transpose(1, 2), alpha=1 / math.sqrt(self.head))
        mixed = torch.bmm(torch.softmax(scores, -1), v)
        return self.out(mixed.view(rows, self.heads, self.ctx, self.head).transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        d, ff = sizes["d"], sizes["ff"]
        self.norm_attention, self.attention = Norm(d), Attention(sizes)
        self.norm_mlp = Norm(d)
        self.gate_up = nn.Linear(d, 2 * ff, bias=False)
        self.down = nn.Linear(ff, d, bias=False)

    def forward(self, x):
        x = x + self.attention(self.norm_attention(x))
        gate, up = self.gate_up(self.norm_mlp(x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.embedding = nn.Embedding(sizes["vocabulary"], sizes["d"])
        self.layers = nn.Sequential(*(Layer(sizes) for _ in range(sizes["layers"])))
        self.norm = Norm(sizes["d"])
        self.head = nn.Linear(sizes["d"], sizes["vocabulary"], bias=False)

    def forward(self, tokens):
        return self.head(self.norm(self.layers(self.embedding(tokens))))

    def in_order(self):
        """The parameters in the order of theta (doc/protocol.md section 4)."""
        yield self.embedding.weight
        for layer in self.layers:
            yield from (layer.norm_attention.weight, layer.attention.qkv.weight, layer.attention.out.weight)
            yield from (layer.norm_mlp.weight, layer.gate_up.weight, layer.down.weight)
        yield from (self.norm.weight, self.head.weight)


class Training:
    """A model with its optimizer and the windows of a step, which are used in turn."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.sizes = json.loads(file.readline())
            theta = torch.frombuffer(bytearray(file.read(4 * self.sizes["parameters"])), dtype=torch.float32)
            windows = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
        self.inputs, self.targets = self.split(windows.view(-1, self.sizes["batch"], self.sizes["ctx"] + 1))
        self.model, self.done = Llama(self.sizes), 0
        self.load(theta)
        rate, decay = self.sizes["lr_ppm"] / 1e6, self.sizes["wd_ppm"] / 1e6
        plain = [p for p in self.model.parameters() if p.dim() == 1] + [self.model.embedding.weight]
        matrices = [p for p in self.model.parameters() if all(p is not q for q in plain)]
        self.optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": decay}, {"params": plain, "weight_decay": 0}],
                                           lr=rate, betas=(BETA_1, BETA_2), eps=ADAMW_EPSILON, foreach=True)
        self.forms = {"eager": self.model, "traced": torch.jit.trace(self.model, self.inputs[0])}

    def split(self, windows):
        """What the model sees of [..., ctx + 1] bytes, and what it is to say."""
        inputs, targets = windows[..., :-1].contiguous(), windows[..., 1:].contiguous()
        targets[..., :self.sizes["skipped"]] = IGNORED
        return inputs, targets

    def load(self, theta):
        if sum(p.numel() for p in self.model.parameters()) != theta.numel():
            raise SystemExit("The PyTorch model has another number of parameters.")
        at = 0
        for p in self.model.in_order():
            p.data.copy_(theta[at:at + p.numel()].view_as(p))
            at += p.numel()

    def loss(self, form, inputs, targets):
        logits = self.forms[form](inputs)
        return functional.cross_entropy(logits.view(-1, self.sizes["vocabulary"]), targets.view(-1), ignore_index=IGNORED)

    def measure(self, path):
        with open(path, "rb") as file:
            windows = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long().view(-1, self.sizes["ctx"] + 1)
        with torch.no_grad():
            return self.loss("eager", *self.split(windows)).item()

    def iterate(self, form):
        inputs = self.inputs[self.done % len(self.inputs)]
        targets = self.targets[self.done % len(self.inputs)]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(form, inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        return loss.item()

    def time(self, form):
        before = time.perf_counter()
        self.iterate(form)
        return time.perf_counter() - before


def libraries():
    """The BLAS that PyTorch found, and oneDNN: paths of what is loaded."""
    with open("/proc/self/maps", encoding="utf-8") as file:
        paths = {line.split()[-1] for line in file if "/" in line}
    found = sorted(p for p in paths if any(name in p.rsplit("/", 1)[1] for name in ("blas", "blis", "mkl", "dnnl")))
    return [f"{p} ({kernels})" if (kernels := kernels_of(p)) else p for p in found]


def kernels_of(path):
    """OpenBLAS's name of those that it uses."""
    try:
        name = ctypes.CDLL(path).openblas_get_corename
    except (AttributeError, OSError):
        return None
    name.restype = ctypes.c_char_p
    return name().decode()


def about(training):
    capability = [line.split(":")[1].strip() for line in torch.__config__.show().splitlines() if "CPU capability" in line]
    return {"version": torch.__version__, "capability": " ".join(capability), "libraries": libraries(),
            "parameters": training.sizes["parameters"], "iterations": training.sizes["iterations"]}


def main():
    torch.set_num_threads(int(sys.argv[2]))
    training = Training(sys.argv[1])
    print(json.dumps(about(training)), flush=True)
    for task in sys.stdin:
        name, *arguments = task.split()
        if name == "check":
            answer = [training.iterate("eager") for _ in range(int(arguments[0]))]
        elif name == "run":
            answer = [training.time(arguments[0]) for _ in range(int(arguments[1]))]
        else:
            answer = training.measure(arguments[0])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
