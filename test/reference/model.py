"""Section 4: the model, its loss and its gradient."""

import math

from .arithmetic import add, dot16, exp, exp_all, f32, log, multiply, rounded, scaled, sin_cos, sum16
from .draws import DITHER, INIT, philox_counters, philox_words
from .hashing import sha256
from .products import grid_exponent, product, transposed

VOCABULARY, SKIPPED = 256, 8
SHARP = 1 - 2 ** -6
EPSILON, ROTARY_BASE, LN_ROTARY_BASE = 1e-5, 10000.0, 9.210340371976184
INITIAL = 0.034
PIECE = 1 << 16  # of what is drawn


class Model:
    """Sizes, and where each tensor lies in theta."""

    def __init__(self, d, layers, heads, ff, ctx, least_weight=0.0):
        self.d, self.layers, self.heads, self.ff, self.ctx = d, layers, heads, ff, ctx
        self.hd, self.least_weight = d // heads, least_weight
        self.tensors = []  # name, offset, rows, columns
        self.n = 0
        self.place("embedding", VOCABULARY, d)
        for layer in range(layers):
            self.place(f"{layer}.norm_attention", 1, d)
            for name in ("wq", "wk", "wv", "wo"):
                self.place(f"{layer}.{name}", d, d)
            self.place(f"{layer}.norm_mlp", 1, d)
            self.place(f"{layer}.wgate", ff, d)
            self.place(f"{layer}.wup", ff, d)
            self.place(f"{layer}.wdown", d, ff)
        self.place("norm", 1, d)
        self.place("head", VOCABULARY, d)
        self.offset = {name: offset for name, offset, _, _ in self.tensors}
        self.cos, self.sin = self.rotary_table()

    def place(self, name, rows, columns):
        self.tensors.append((name, self.n, rows, columns))
        self.n += rows * columns

    def rotary_table(self):
        rho = exp(-f32(f32(2.0 / float(self.hd)) * f32(LN_ROTARY_BASE)))
        f = [1.0]
        while len(f) < self.hd // 2:
            f.append(f32(f[-1] * rho))
        pairs = [[sin_cos(f32(float(p) * x)) for x in f] for p in range(self.ctx)]
        return [[c for _, c in row] for row in pairs], [[s for s, _ in row] for row in pairs]

    def matrix(self, vector, name, rows, columns):
        start = self.offset[name]
        return [vector[start + i * columns:start + (i + 1) * columns] for i in range(rows)]

    def norm(self, vector, name):
        return vector[self.offset[name]:self.offset[name] + self.d]


def rmsnorm(x, g):
    """The normalised row, and r for the way back."""
    r = f32(1.0 / f32(math.sqrt(f32(f32(dot16(x, x) / float(len(x))) + f32(EPSILON)))))
    return multiply(scaled(x, r), g), r


def rotate(model, row, position, inverse=False):
    """Every head of a row of d elements."""
    cos, sin = model.cos[position], model.sin[position]
    if inverse:
        sin = [-s for s in sin]
    half, out = model.hd // 2, []
    for start in range(0, model.d, model.hd):
        a, b = row[start:start + half], row[start + half:start + model.hd]
        out += rounded([x - y for x, y in zip(multiply(a, cos), multiply(b, sin))])
        out += add(multiply(a, sin), multiply(b, cos))
    return out


def chain(pairs, width):
    """Sum of factor * vector in order, from +0."""
    total = [0.0] * width
    for factor, vector in pairs:
        total = add(total, scaled(vector, factor))
    return total


def attention_head(q, k, v, least_weight):
    """a and p of one head of one row of the batch; q, k, v are [ctx][hd]."""
    hd, columns = len(q[0]), transposed(k)
    scale = f32(1.0 / f32(math.sqrt(float(hd))))
    p, a = [], []
    for i, row in enumerate(q):
        s = chain(((row[c], columns[c][:i + 1]) for c in range(hd)), i + 1)
        top = max(s)
        e = exp_all(scaled(rounded([x - top for x in s]), scale))
        p.append([0.0 if x < least_weight else x for x in scaled(e, f32(1.0 / sum16(e)))])
        a.append(chain(zip(p[i], v), hd))
    return a, p


def attention_head_back(q, k, v, p, da):
    hd, ctx, columns = len(q[0]), len(q), transposed(v)
    scale = f32(1.0 / f32(math.sqrt(float(hd))))
    ds, dq = [], []
    for i in range(ctx):
        dp = chain(((da[i][c], columns[c][:i + 1]) for c in range(hd)), i + 1)
        top = dot16(p[i], dp)
        ds.append(scaled(multiply(p[i], rounded([x - top for x in dp])), scale))
        dq.append(chain(zip(ds[i], k), hd))
    dk = [chain(((ds[i][j], q[i]) for i in range(j, ctx)), hd) for j in range(ctx)]
    dv = [chain(((p[i][j], da[i]) for i in range(j, ctx)), hd) for j in range(ctx)]
    return dq, dk, dv


def add_rows(x, y):
    return [add(a, b) for a, b in zip(x, y)]


class Layer:
    """One layer's way forward and back over the tokens of a micro-batch."""

    def __init__(self, model, theta, index):
        d, ff = model.d, model.ff
        self.model, self.index = model, index
        self.wqkv = model.matrix(theta, f"{index}.wq", 3 * d, d)
        self.wo = model.matrix(theta, f"{index}.wo", d, d)
        self.wgu = model.matrix(theta, f"{index}.wgate", 2 * ff, d)
        self.wdown = model.matrix(theta, f"{index}.wdown", d, ff)
        self.g1 = model.norm(theta, f"{index}.norm_attention")
        self.g2 = model.norm(theta, f"{index}.norm_mlp")

    def operands(self):
        """What it multiplies on the way forward, each with its matrix and with how many sharp weights of attention are behind it."""
        sharp = sum(x >= SHARP for head in self.p for row in head for x in row)
        return (self.z1, self.wqkv, 0), (self.a, self.wo, sharp), (self.z2, self.wgu, 0), (self.b, self.wdown, 0)

    def heads(self, rows):
        """For each row of the batch and each head, its slice [ctx][hd]."""
        ctx, hd = self.model.ctx, self.model.hd
        for first in range(0, len(rows), ctx):
            for start in range(0, self.model.d, hd):
                yield first, start, [row[start:start + hd] for row in rows[first:first + ctx]]

    def attention(self):
        d, ctx, hd = self.model.d, self.model.ctx, self.model.hd
        out, self.p = [[0.0] * d for _ in self.q], []
        for (first, start, q), (_, _, k), (_, _, v) in zip(self.heads(self.q), self.heads(self.k), self.heads(self.v)):
            a, p = attention_head(q, k, v, self.model.least_weight)
            self.p.append(p)
            for i in range(ctx):
                out[first + i][start:start + hd] = a[i]
        return out

    def forward(self, h):
        d, ff, ctx = self.model.d, self.model.ff, self.model.ctx
        self.x1 = h
        self.z1, self.r1 = zip(*(rmsnorm(row, self.g1) for row in h))
        qkv = product(self.z1, self.wqkv)
        self.q = [rotate(self.model, row[:d], t % ctx) for t, row in enumerate(qkv)]
        self.k = [rotate(self.model, row[d:2 * d], t % ctx) for t, row in enumerate(qkv)]
        self.v = [row[2 * d:] for row in qkv]
        self.a = self.attention()
        h = add_rows(product(self.a, self.wo), h)
        self.x2 = h
        self.z2, self.r2 = zip(*(rmsnorm(row, self.g2) for row in h))
        gu = product(self.z2, self.wgu)
        self.g, self.u = [row[:ff] for row in gu], [row[ff:] for row in gu]
        self.s = [rounded([1.0 / y for y in rounded([1.0 + e for e in exp_all([-x for x in g])])]) for g in self.g]
        self.b = [multiply(multiply(g, s), u) for g, s, u in zip(self.g, self.s, self.u)]
        return add_rows(product(self.b, self.wdown), h)

    def gated_back(self, db):
        out = []
        for g, s, u, d in zip(self.g, self.s, self.u, db):
            gs = multiply(g, s)
            slope = add(s, multiply(gs, rounded([1.0 - x for x in s])))
            out.append(multiply(multiply(d, u), slope) + multiply(d, gs))
        return out

    def attention_back(self, da):
        d, ctx, hd = self.model.d, self.model.ctx, self.model.hd
        dqkv = [[0.0] * (3 * d) for _ in da]
        parts = zip(self.heads(self.q), self.heads(self.k), self.heads(self.v), self.p, self.heads(da))
        for (first, start, q), (_, _, k), (_, _, v), p, (_, _, d_head) in parts:
            for offset, grad in zip((0, d, 2 * d), attention_head_back(q, k, v, p, d_head)):
                for i in range(ctx):
                    dqkv[first + i][offset + start:offset + start + hd] = grad[i]
        for t, row in enumerate(dqkv):
            row[:d] = rotate(self.model, row[:d], t % ctx, inverse=True)
            row[d:2 * d] = rotate(self.model, row[d:2 * d], t % ctx, inverse=True)
        return dqkv

    def backward(self, dh, gradient):
        i = self.index
        db = product(dh, transposed(self.wdown))
        gradient.add_product(f"{i}.wdown", dh, self.b)
        dgu = self.gated_back(db)
        dz = product(dgu, transposed(self.wgu))
        gradient.add_product(f"{i}.wgate", dgu, self.z2)
        dh = rmsnorm_back(gradient, f"{i}.norm_mlp", self.x2, self.r2, self.g2, dz, dh)
        da = product(dh, transposed(self.wo))
        gradient.add_product(f"{i}.wo", dh, self.a)
        dqkv = self.attention_back(da)
        dz = product(dqkv, transposed(self.wqkv))
        gradient.add_product(f"{i}.wq", dqkv, self.z1)
        return rmsnorm_back(gradient, f"{i}.norm_attention", self.x1, self.r1, self.g1, dz, dh)


class Gradient:
    """One vector like theta, added to in place."""

    def __init__(self, model):
        self.model, self.vector = model, [0.0] * model.n

    def add_at(self, start, values):
        self.vector[start:start + len(values)] = add(self.vector[start:start + len(values)], values)

    def add_product(self, name, dy, x):
        flat = [value for row in product(transposed(dy), transposed(x)) for value in row]
        self.add_at(self.model.offset[name], flat)


def rmsnorm_back(gradient, name, x, r, g, dy, dx):
    """Adds to dg, token by token, and returns dx with this norm's part added."""
    d, start, out = len(g), gradient.model.offset[name], []
    for x_t, r_t, dy_t, dx_t in zip(x, r, dy, dx):
        t = multiply(dy_t, g)
        c = f32(f32(dot16(t, x_t) * f32(r_t * r_t)) / float(d))
        gradient.add_at(start, multiply(dy_t, scaled(x_t, r_t)))
        inner = rounded([a - b for a, b in zip(t, scaled(x_t, c))])
        out.append(add(dx_t, scaled(inner, r_t)))
    return out


def token_loss(logits, target, inv):
    """Loss of one counted position, and the gradient of its logits."""
    top = max(logits)
    e = exp_all(rounded([x - top for x in logits]))
    z = sum16(e)
    dx = scaled(scaled(e, f32(1.0 / z)), inv)
    dx[target] = f32(dx[target] - inv)
    return f32(log(z) - f32(logits[target] - top)), dx


def dithered(dx, key, token, inv):
    """The gradient of a token's logits on the grid of inv, each value shifted by keyed noise before it is rounded."""
    e = grid_exponent(inv)
    grid, steps, noise = math.ldexp(1.0, e), math.ldexp(1.0, -e), math.ldexp(1.0, e - 16)
    words = philox_counters(key, [(token, DITHER + 256 * draw) for draw in range(64)])
    shifts = rounded([((word >> 16) - (word & 0xffff)) * noise for word in words])
    return [round(x * steps) * grid for x in add(dx, shifts)]


def micro_batch(model, theta, windows, inv, gradient, key, first_row, operands=None):
    """Losses of the tokens of some windows; adds to the gradient unless it is None. The first window is that row of the key's.
    operands: a list that gets (X, W, sharp) of each product X W^T."""
    ctx, d = model.ctx, model.d
    tokens = [byte for window in windows for byte in window[:ctx]]
    targets = [byte for window in windows for byte in window[1:ctx + 1]]
    embedding, head = model.matrix(theta, "embedding", VOCABULARY, d), model.matrix(theta, "head", VOCABULARY, d)
    h = [embedding[byte] for byte in tokens]
    layers = [Layer(model, theta, i) for i in range(model.layers)]
    for layer in layers:
        h = layer.forward(h)
    g = model.norm(theta, "norm")
    z, r = zip(*(rmsnorm(row, g) for row in h))
    logits = product(z, head)
    if operands is not None:
        operands += [pair for layer in layers for pair in layer.operands()] + [(z, head, 0)]
    losses, dlogits = [], []
    for t, row in enumerate(logits):
        counted = t % ctx >= SKIPPED
        loss, dx = token_loss(row, targets[t], inv) if counted else (0.0, [0.0] * VOCABULARY)
        losses.append(loss)
        dlogits.append(dx)
    if gradient is None:
        return losses
    dlogits = [dithered(dx, key, first_row * ctx + t, inv) if t % ctx >= SKIPPED else dx for t, dx in enumerate(dlogits)]
    dz = product(dlogits, transposed(head))
    gradient.add_product("head", dlogits, z)
    dh = rmsnorm_back(gradient, "norm", h, r, g, dz, [[0.0] * d for _ in h])
    for layer in reversed(layers):
        dh = layer.backward(dh, gradient)
    for byte, row in zip(tokens, dh):
        gradient.add_at(model.offset["embedding"] + byte * d, row)
    return losses


def loss_and_gradient(model, theta, windows, key=None, first_row=0, operands=None):
    """Without a key the loss alone. The key dithers, and first_row is the batch's first among the rows that it dithers.
    operands: a list that gets (X, W, sharp) of each product X W^T of each micro-batch."""
    inv = f32(1.0 / float(len(windows) * (model.ctx - SKIPPED)))
    gradient = Gradient(model) if key else None
    rows, losses = 1024 // model.ctx, []
    for first in range(0, len(windows), rows):
        losses += micro_batch(model, theta, windows[first:first + rows], inv, gradient, key, first_row + first, operands)
    return f32(sum16(losses) * inv), gradient.vector if gradient else None


def decays(model):
    """For each parameter, whether weight decay applies."""
    out = []
    for name, _, rows, columns in model.tensors:
        out += [name != "embedding" and "norm" not in name] * (rows * columns)
    return out


def initial_key(name):
    return sha256(b"atelier initial state" + name.encode())


def drawn_pieces(model, key):
    """The draws of theta in order, PIECE values at most at a time: a list of main's would take a gigabyte."""
    a = f32(INITIAL)
    out_a = f32(a / f32(math.sqrt(float(2 * model.layers))))
    for tensor, offset, rows, columns in model.tensors:
        size = out_a if tensor.endswith((".wo", ".wdown")) else a
        for first in range(offset, offset + rows * columns, PIECE):
            count = min(PIECE, offset + rows * columns - first)
            if "norm" in tensor:
                yield [1.0] * count
                continue
            words = philox_words(key, INIT, first // 4, (count + 3) // 4)  # each tensor begins with a draw
            yield scaled([math.ldexp((word >> 8) - (1 << 23), -23) for word in words[:count]], size)


def drawn_theta(model, key):
    return [x for piece in drawn_pieces(model, key) for x in piece]
