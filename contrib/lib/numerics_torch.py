"""Training as `atelier-bench train` does it, in PyTorch, with knobs on what the node's code fixes. For contrib/numerics.

Windows, slots and initial weights are drawn as src/bench/train.c draws them, so a run can be laid beside the real one. Knobs,
with the protocol's choices as defaults:

    rounding   of products' operands: nearest, stochastic, scaled (steps of max / 127 instead of powers of two), none
    chunk      values of a row that share a grid; 0: the whole row
    matrix     one grid for a whole operand instead of one a row
    logits     what the gradient of the logits gets where products are rounded: dithered (section 4's shift and grid, then as any
               operand), nearest (no dither, as any operand), stochastic, none
    clip       largest norm of a gradient; 0: any
    beta2      of AdamW
    warm       iterations of a step over which the learning rate rises
    falls      whether the learning rate falls linearly within a step
    delta      rounding of the delta code: stochastic, nearest, none
    lr, mu, eta, C, k

Everything else is as doc/protocol.md says, up to the order of sums and the noise of stochastic rounding."""
import hashlib

import numpy
import torch
from pytorch_llama import Llama
from torch.nn import functional

DEFAULTS = {"rounding": "nearest", "chunk": 1024, "matrix": False, "logits": "dithered", "clip": 1, "beta2": 0.99, "warm": 0,
            "falls": False, "delta": "stochastic", "lr": 500e-6, "wd": 0.01, "mu": 0.9, "eta": 0.7, "C": 8, "k": 8}
SLOT, WINDOW, BENCHMARK, INIT = 1, 2, 5, 6
SKIPPED, VOCABULARY, BENCH_BYTES, VALIDATION_ROWS, GATE = 8, 256, 8192, 128, 1.05
IGNORED = -100

# === Draws ===


def philox(key, domain, count):
    """Draws 0 .. count-1, as rows of four words."""
    k = [int(word) for word in numpy.frombuffer(key[:16], "<u4")]
    x = [numpy.arange(count, dtype=numpy.uint64)] + [numpy.full(count, word, numpy.uint64) for word in (domain, k[2], k[3])]
    low, shift = numpy.uint64(0xffffffff), numpy.uint64(32)
    for turn in range(10):
        key0, key1 = [numpy.uint64((k[i] + turn * step) & 0xffffffff) for i, step in ((0, 0x9e3779b9), (1, 0xbb67ae85))]
        p, q = x[0] * numpy.uint64(0xd2511f53), x[2] * numpy.uint64(0xcd9e8d57)
        x = [(q >> shift) ^ x[1] ^ key0, q & low, (p >> shift) ^ x[3] ^ key1, p & low]
    return numpy.stack(x, 1)


def key_of(seed, what, number):
    return hashlib.sha256(f"atelier train {seed} {what} {number}".encode()).digest()


def windows_of(key, domain, count, data, ctx):
    words = philox(key, domain, count)
    last, shift = numpy.uint64(len(data) - (ctx - 7) + 1), numpy.uint64(32)
    offsets = (words[:, 3] * last + (words[:, 2] * last >> shift)) >> shift
    out = numpy.empty((count, ctx + 1), numpy.uint8)
    out[:, :8] = words[:, :2].astype("<u4").view(numpy.uint8).reshape(count, 8)
    for row, offset in zip(out, offsets):
        row[8:] = data[int(offset):int(offset) + ctx - 7]
    return torch.from_numpy(out).long()


def slot_of(key, slots):
    words = philox(key, SLOT, 1)[0]
    return (int(words[0]) | int(words[1]) << 32) * slots >> 64


# === Rounded products ===


def round_rows(x, knobs):
    """x with each row, in chunks along the last dimension, rounded to its grid."""
    if knobs["rounding"] == "none":
        return x
    size = knobs["chunk"] or x.size(-1)
    return torch.cat([round_chunk(part, knobs) for part in torch.split(x, size, -1)], -1)


def grid_of(top):
    exponent = ((top.view(torch.int32) + 0x10000) >> 23).clamp(min=70)
    return ((exponent - 6) << 23).view(torch.float32)


def dither(dx, ctx):
    """The protocol's section 4: dx on the grid of the largest there can be, shifted before rounding; by noise that is drawn as the
    protocol's is, but not from the seed."""
    counted = len(dx) - len(dx) // ctx * SKIPPED
    grid = grid_of(torch.tensor(1 / counted, dtype=torch.float32))
    shift = (torch.rand_like(dx) - torch.rand_like(dx)) * grid
    shift[torch.arange(len(dx)) % ctx < SKIPPED] = 0
    return ((dx + shift) / grid).round() * grid


def round_chunk(x, knobs):
    top = x.abs().max().view(1, 1) if knobs["matrix"] else x.abs().amax(-1, keepdim=True)
    if knobs["rounding"] == "scaled":
        grid = top.clamp(min=1e-30) / 127
    else:
        grid = grid_of(top)
    steps = x / grid
    if knobs["rounding"] == "stochastic":
        return torch.floor(steps + torch.rand_like(steps)).clamp(-127, 127) * grid
    return steps.round() * grid


class Product(torch.autograd.Function):
    """x w^T with the roundings of protocol section 3, backward too: each operand along the index that is summed over."""

    @staticmethod
    def forward(context, x, w, knobs):
        context.save_for_backward(x, w)
        context.knobs = knobs
        return round_rows(x, knobs) @ round_rows(w, knobs).t()

    @staticmethod
    def backward(context, dy):
        (x, w), knobs = context.saved_tensors, context.knobs
        own = knobs
        if w.size(0) == VOCABULARY and knobs["rounding"] != "none":
            if knobs["logits"] == "dithered":
                dy = dither(dy, knobs["ctx"])
            elif knobs["logits"] != "nearest":
                own = {**knobs, "rounding": knobs["logits"]}
        dx = round_rows(dy, own) @ round_rows(w.t().contiguous(), knobs).t()
        dw = round_rows(dy.t().contiguous(), own) @ round_rows(x.t().contiguous(), knobs).t()
        return dx, dw, None


class Linear(torch.nn.Module):
    def __init__(self, linear, knobs):
        super().__init__()
        self.weight, self.knobs = linear.weight, knobs

    def forward(self, x):
        flat = x.reshape(-1, x.size(-1))
        return Product.apply(flat, self.weight, self.knobs).view(*x.shape[:-1], -1)


# === Training ===


class Training:
    def __init__(self, one, sizes, corpus):
        torch.set_num_threads(1)
        torch.manual_seed(one["seed"])
        self.one, self.sizes, self.ctx = one, sizes, sizes["ctx"]
        self.knobs = {**DEFAULTS, "lr": sizes["lr_ppm"] / 1e6, "C": sizes["iterations"], "k": sizes["k"], "ctx": self.ctx,
                      **one["knobs"]}
        with open(corpus, "rb") as file:
            text = numpy.frombuffer(file.read(), numpy.uint8)
        cut = len(text) // 10 * 9
        self.data, self.benchmark = text[:cut - BENCH_BYTES], text[cut - BENCH_BYTES:cut]
        self.validation = windows_of(bytes(32), BENCHMARK, VALIDATION_ROWS, text[cut:], self.ctx)
        self.model = Llama({**sizes, "vocabulary": VOCABULARY})
        self.use_rounding(self.model)
        self.parameters = list(self.model.in_order())
        count = sum(p.numel() for p in self.parameters)
        self.theta, self.decays = torch.empty(count), torch.zeros(count)
        self.place(key_of(one["seed"], "initial", 0), count)
        self.losses, self.done, self.next, self.void = [], 0, one["every"], 0

    def use_rounding(self, module):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.Linear):
                setattr(module, name, Linear(child, self.knobs))
            else:
                self.use_rounding(child)

    def place(self, key, count):
        """Initial weights; the model's parameters become views of theta."""
        words = philox(key, INIT, (count + 3) // 4).reshape(-1)[:count]
        drawn = torch.from_numpy(((words >> numpy.uint64(8)).astype(numpy.int64) - 2 ** 23).astype(numpy.float32)) * 2.0 ** -23
        residual = {id(layer.attention.out.weight) for layer in self.model.layers}
        residual |= {id(layer.down.weight) for layer in self.model.layers}
        at = 0
        for p in self.parameters:
            part = slice(at, at + p.numel())
            if p.dim() == 1:
                self.theta[part] = 1
            else:
                self.theta[part] = drawn[part] * (0.034 / (2 * self.sizes["layers"]) ** 0.5 if id(p) in residual else 0.034)
                self.decays[part] = 0 if p is self.parameters[0] else self.knobs["wd"]
            p.data = self.theta[part].view_as(p)
            at += p.numel()

    def loss(self, windows):
        targets = windows[:, 1:].clone()
        targets[:, :SKIPPED] = IGNORED
        logits = self.model(windows[:, :-1])
        return functional.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1), ignore_index=IGNORED)

    def gradient(self, windows):
        for p in self.parameters:
            p.grad = None
        loss = self.loss(windows)
        loss.backward()
        return loss.item(), torch.cat([p.grad.reshape(-1) for p in self.parameters])

    def measure(self, windows):
        with torch.no_grad():
            return self.loss(windows).item()

    def iterate(self, windows, moments, t, lr):
        loss, g = self.gradient(windows)
        norm = g.norm().item()
        if self.knobs["clip"] and norm > self.knobs["clip"]:
            g *= self.knobs["clip"] / norm
        (m, v), beta2 = moments, self.knobs["beta2"]
        m.mul_(0.9).add_(g, alpha=0.1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        step = (m / (1 - 0.9 ** t)) / ((v / (1 - beta2 ** t)).sqrt() + 1e-8) + self.decays * self.theta
        self.theta.add_(step, alpha=-lr)
        self.losses.append(loss)

    def fresh_moments(self):
        return torch.zeros_like(self.theta), torch.zeros_like(self.theta)

    def report(self):
        if self.done < self.next and self.done < self.one["steps"]:
            return []
        self.next = self.done + self.one["every"]
        line = {"iterations": self.done, "loss": sum(self.losses) / len(self.losses),
                "validation": self.measure(self.validation)}
        self.losses = []
        return [line | ({"void": self.void} if self.one["mode"] == "network" else {})]

    # --- AdamW alone ---

    def run_adamw(self):
        moments, batch, iterations = self.fresh_moments(), self.sizes["batch"], self.knobs["C"]
        while self.done < self.one["steps"]:
            key = key_of(self.one["seed"], "step", self.done // iterations)
            for windows in windows_of(key, WINDOW, iterations * batch, self.data, self.ctx).split(batch):
                self.iterate(windows, moments, self.done + 1, self.knobs["lr"])
                self.done += 1
                yield from self.report()
                if self.done == self.one["steps"]:
                    break

    # --- The network ---

    def rate(self, t):
        """Learning rate of iteration t = 1, 2, ... of a step."""
        lr = self.knobs["lr"]
        if self.knobs["warm"]:
            lr *= min(1, t / (self.knobs["warm"] + 1))
        return lr * (1 - (t - 1) / self.knobs["C"]) if self.knobs["falls"] else lr

    def coded(self, x):
        """What the delta code keeps of x."""
        if self.knobs["delta"] == "none":
            return x
        blocks = functional.pad(x, (0, -len(x) % 64)).view(-1, 64)
        top = blocks.abs().amax(1, keepdim=True)
        grid = 2.0 ** torch.ceil(torch.log2(top / 126)).clamp(-40, 0)
        noise = torch.rand_like(blocks) if self.knobs["delta"] == "stochastic" else 0.5
        return (torch.floor(blocks / grid + noise) * grid).view(-1)[:len(x)]

    def step(self, key, start):
        self.theta.copy_(start)
        moments, iterations, batch = self.fresh_moments(), self.knobs["C"], self.sizes["batch"]
        windows = windows_of(key, WINDOW, iterations * batch, self.data, self.ctx)
        for t, minibatch in enumerate(windows.split(batch), 1):
            self.iterate(minibatch, moments, t, self.rate(t))
        return self.coded(self.theta - start)

    def run_network(self):
        outer, proofs, number = torch.zeros_like(self.theta), self.knobs["k"] + 1, 0
        while self.done < self.one["steps"]:
            start, slots = self.theta.clone(), {}
            for i in range(proofs):
                key = key_of(self.one["seed"], "step", number * proofs + i)
                slots.setdefault(slot_of(key, self.sizes["slots"]), []).append(self.step(key, start))
            update = sum(sum(deltas) / len(deltas) for deltas in slots.values()) / len(slots)
            key = key_of(self.one["seed"], "block", number)
            benchmark = windows_of(key, BENCHMARK, self.sizes["bench_rows"], self.benchmark, self.ctx)
            self.theta.copy_(start)
            before = self.measure(benchmark)
            outer = self.knobs["mu"] * outer + update
            self.theta.add_(update + self.knobs["mu"] * outer, alpha=self.knobs["eta"])
            if not self.measure(benchmark) <= before * GATE:
                self.theta.copy_(start)
                outer.zero_()
                self.void += 1
            number += 1
            self.done += proofs * self.knobs["C"]
            yield from self.report()


def train(one, sizes, corpus):
    """The lines of a run, as atelier-bench train prints them."""
    training = Training(one, sizes, corpus)
    return list(training.run_network() if one["mode"] == "network" else training.run_adamw())


def errors(one, sizes, corpus, variants):
    """How far the gradient over 64 windows is from fp32's, relative to its length, at a model that fp32 trained a while: for
    each rounding of `variants` {label: knobs}, and for fp32 on eight of the windows, as a minibatch has."""
    training = Training({**one, "knobs": {"rounding": "none"}}, sizes, corpus)
    list(training.run_adamw())
    windows = windows_of(key_of(one["seed"], "errors", 0), WINDOW, 64, training.data, training.ctx)
    exact, result = training.gradient(windows)[1], {}
    for label, knobs in variants.items():
        training.knobs.update({**DEFAULTS, **knobs})
        result[label] = round(((training.gradient(windows)[1] - exact).norm() / exact.norm()).item(), 4)
    training.knobs["rounding"] = "none"
    few = [training.gradient(part)[1] for part in windows.split(8)]
    result["fp32, 8 windows"] = round(sum((g - exact).norm().item() for g in few) / len(few) / exact.norm().item(), 4)
    return result
