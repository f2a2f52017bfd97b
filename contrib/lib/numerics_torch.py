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
import torch
from drawn import adamw_step, cut, initial, key_of, layout, step_windows, validation
from pytorch_llama import IGNORED, Llama
from torch.nn import functional

from reference.delta import BLOCK, LOWEST, STEPS
from reference.draws import BENCHMARK, SLOT, draw, draw_window, mulhi
from reference.model import SKIPPED, VOCABULARY, decays
from reference.products import BELOW, LOWEST as GRID_LOWEST, ROUND_UP
from reference.step import BETA_1, BETA_2, EPSILON

DEFAULTS = {"rounding": "nearest", "chunk": 1024, "matrix": False, "logits": "dithered", "clip": 1, "beta2": BETA_2, "warm": 0,
            "falls": False, "delta": "stochastic", "lr": 500e-6, "wd": 0.01, "mu": 0.9, "eta": 0.95, "C": 8, "k": 8}
GATE = 1.05

# === Draws ===


def as_tensor(windows):
    return torch.frombuffer(bytearray(b"".join(windows)), dtype=torch.uint8).view(len(windows), -1).long()


def benchmark_windows(key, count, data, ctx):
    return as_tensor([draw_window(key, BENCHMARK, index, data, ctx) for index in range(count)])


# === Rounded products ===


def round_rows(x, knobs):
    """x with each row, in chunks along the last dimension, rounded to its grid."""
    if knobs["rounding"] == "none":
        return x
    size = knobs["chunk"] or x.size(-1)
    return torch.cat([round_chunk(part, knobs) for part in torch.split(x, size, -1)], -1)


def grid_of(top):
    exponent = ((top.view(torch.int32) + ROUND_UP) >> 23).clamp(min=GRID_LOWEST)
    return torch.exp2((exponent - BELOW).float())


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
        self.drawn = {**sizes, "iterations": self.knobs["C"], "k": self.knobs["k"]}
        with open(corpus, "rb") as file:
            text = file.read()
        self.data, self.benchmark, rest = cut(text, sizes["bench_bytes"])
        self.validation = as_tensor(validation(rest, self.ctx))
        self.model = Llama({**sizes, "vocabulary": VOCABULARY})
        self.use_rounding(self.model)
        self.parameters = list(self.model.in_order())
        self.theta = torch.tensor(initial(sizes, one["seed"]))
        self.decays = torch.tensor(decays(layout(sizes))) * self.knobs["wd"]
        at = 0
        for p in self.parameters:  # which become views of theta
            p.data = self.theta[at:at + p.numel()].view_as(p)
            at += p.numel()
        self.losses, self.done, self.next, self.void = [], 0, one["every"], 0

    def use_rounding(self, module):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.Linear):
                setattr(module, name, Linear(child, self.knobs))
            else:
                self.use_rounding(child)

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
        m.mul_(BETA_1).add_(g, alpha=1 - BETA_1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        step = (m / (1 - BETA_1 ** t)) / ((v / (1 - beta2 ** t)).sqrt() + EPSILON) + self.decays * self.theta
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
            step = adamw_step(self.one["seed"], self.done // iterations, self.drawn, self.data)
            for windows in as_tensor(step).split(batch):
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
        blocks = functional.pad(x, (0, -len(x) % BLOCK)).view(-1, BLOCK)
        top = blocks.abs().amax(1, keepdim=True)
        grid = 2.0 ** torch.ceil(torch.log2(top / STEPS)).clamp(LOWEST, 0)
        noise = torch.rand_like(blocks) if self.knobs["delta"] == "stochastic" else 0.5
        return (torch.floor(blocks / grid + noise) * grid).view(-1)[:len(x)]

    def step(self, ticket, key, start):
        self.theta.copy_(start)
        moments = self.fresh_moments()
        for t, minibatch in enumerate(as_tensor(step_windows(ticket, key, self.drawn, self.data)).split(self.sizes["batch"]), 1):
            self.iterate(minibatch, moments, t, self.rate(t))
        return self.coded(self.theta - start)

    def run_network(self):
        outer, proofs, number = torch.zeros_like(self.theta), self.knobs["k"] + 1, 0
        while self.done < self.one["steps"]:
            start, slots, ticket = self.theta.clone(), {}, key_of(self.one["seed"], "block", number)
            for i in range(proofs):
                key = key_of(self.one["seed"], "step", number * proofs + i)
                slots.setdefault(mulhi(draw(key, SLOT, 0), self.sizes["slots"]), []).append(self.step(ticket, key, start))
            update = sum(sum(deltas) / len(deltas) for deltas in slots.values()) / self.sizes["slots"]
            benchmark = benchmark_windows(ticket, self.sizes["bench_rows"], self.benchmark, self.ctx)
            self.theta.copy_(start)
            before = self.measure(benchmark)
            before_block, outer = outer, self.knobs["mu"] * outer + update
            self.theta.add_(update + self.knobs["mu"] * outer, alpha=self.knobs["eta"])
            if not self.measure(benchmark) <= before * GATE:
                self.theta.copy_(start)
                outer = before_block * self.knobs["mu"]
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
    windows = benchmark_windows(key_of(one["seed"], "errors", 0), 64, training.data, training.ctx)
    exact, result = training.gradient(windows)[1], {}
    for label, knobs in variants.items():
        training.knobs.update({**DEFAULTS, **knobs})
        result[label] = round(((training.gradient(windows)[1] - exact).norm() / exact.norm()).item(), 4)
    training.knobs["rounding"] = "none"
    few = [training.gradient(part)[1] for part in windows.split(8)]
    result["fp32, 8 windows"] = round(sum((g - exact).norm().item() for g in few) / len(few) / exact.norm().item(), 4)
    return result
