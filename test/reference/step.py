"""Sections 5 and 6: AdamW, and the step that a seed makes."""

import math

from .arithmetic import add, dot16, f32, multiply, ppm, rounded, scaled
from .delta import encode
from .draws import step_window
from .model import decays, loss_and_gradient
from .products import Failed


BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-8


def power(b, t):
    result = b
    for _ in range(t - 1):
        result = f32(result * b)
    return result


class AdamW:
    B1, B2 = f32(BETA_1), f32(BETA_2)

    def __init__(self, model, lr, wd):
        self.m, self.v = [0.0] * model.n, [0.0] * model.n
        self.lr, self.wd = lr, [wd if yes else 0.0 for yes in decays(model)]
        self.t = 0

    def update(self, w, g, gs):
        self.t += 1
        x = scaled(g, gs)
        self.m = add(scaled(self.m, self.B1), scaled(x, f32(1.0 - self.B1)))
        self.v = add(scaled(self.v, self.B2), scaled(multiply(x, x), f32(1.0 - self.B2)))
        c1 = f32(1.0 / f32(1.0 - power(self.B1, self.t)))
        c2 = f32(1.0 / f32(1.0 - power(self.B2, self.t)))
        root = rounded(map(math.sqrt, scaled(self.v, c2)))
        below = rounded([a + f32(EPSILON) for a in root])
        move = rounded([a / b for a, b in zip(scaled(self.m, c1), below)])
        move = scaled(add(move, multiply(self.wd, w)), self.lr)
        return rounded([a - b for a, b in zip(w, move)])


def train(spec, w, seed, windows, begins=None):
    """The weights after an iteration on each `batch` of these windows, from fresh moments on; the seed keys the dither.
    begins: whether it goes on, asked with the first one's loss and operands."""
    optimizer = AdamW(spec.model, ppm(spec.lr_ppm), ppm(spec.wd_ppm))
    for first in range(0, len(windows), spec.batch):
        operands = [] if begins and first == 0 else None
        loss, g = loss_and_gradient(spec.model, w, windows[first:first + spec.batch], seed, first, operands)
        q = dot16(g, g)
        if not (math.isfinite(loss) and math.isfinite(q)):
            raise Failed("loss or gradient is not finite")
        if operands and not begins(loss, operands):
            raise Failed("the start predicts much worse than the base, or has much less to multiply")
        c = f32(math.sqrt(q))
        w = optimizer.update(w, g, f32(1.0 / c) if c > 1.0 else 1.0)
    if not all(map(math.isfinite, w)):
        raise Failed("a weight is not finite")
    return w


def step(spec, theta, ticket, seed, data):
    """The delta of the step that this seed makes on one dataset's bytes, after the block of this ticket."""
    windows = [step_window(ticket, seed, spec.slots, index, data, spec.model.ctx)
               for index in range(spec.iterations * spec.batch)]
    w = train(spec, theta, seed, windows)
    return encode(rounded([a - b for a, b in zip(w, theta)]), seed)
