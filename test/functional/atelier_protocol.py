"""The Atelier protocol, written a second time from doc/protocol.md alone, in plain Python.

It shares no line and no idea with the node's C: slow, direct, one function a paragraph of the text. Numbers are
Python floats that hold binary32 values; every operation is done in binary64 and rounded once, which for + - * / and
sqrt of binary32 operands is the correctly rounded binary32 result. Integer products are exact integers.

Section numbers are those of doc/protocol.md."""

import hashlib
import math
import struct
import sys
from array import array
from itertools import accumulate
from operator import mul

# === 1. Notation ===


def H(data):
    return hashlib.sha256(data).digest()


def HH(data):
    return H(H(data))


def compact(n):
    if n < 0xfd:
        return bytes([n])
    for marker, size in ((0xfd, 2), (0xfe, 4), (0xff, 8)):
        if n < 1 << 8 * size:
            return bytes([marker]) + n.to_bytes(size, "little")
    raise ValueError(n)


def number(digest):
    return int.from_bytes(digest, "little")


def merkle_root(items):
    level = [H(b"\0" + x) for x in items]
    while len(level) > 1:
        pairs = [H(b"\1" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2:]
    return level[0] if level else bytes(32)


def pages(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def mulhi(r, n):
    return r * n >> 64


def corpus_root(blob):
    return merkle_root(pages(blob, 4096))


# === 2. Arithmetic ===


def rounded(values):
    """Each value to the nearest binary32."""
    return array("f", values).tolist()


def f32(x):
    return array("f", (x,))[0]


def bits(x):
    return struct.unpack("<i", struct.pack("<f", x))[0]


def from_bits(n):
    return struct.unpack("<f", struct.pack("<I", n & 0xffffffff))[0]


def add(x, y):
    return rounded([a + b for a, b in zip(x, y)])


def multiply(x, y):
    return rounded(map(mul, x, y))


def scaled(x, factor):
    return rounded([a * factor for a in x])


def sum16(x):
    lanes = [0.0] * 16
    whole = len(x) - len(x) % 16
    for i in range(0, whole, 16):
        lanes = add(lanes, x[i:i + 16])
    lanes[:len(x) - whole] = add(lanes, x[whole:])
    for half in (8, 4, 2, 1):
        lanes = add(lanes[:half], lanes[half:])
    return lanes[0]


def dot16(x, y):
    return sum16(multiply(x, y))


MAGIC = 12582912.0
LOG2_E, LN2_HIGH, LN2_LOW = f32(1.44269504088896341), f32(0.693145751953125), f32(1.42860682030941723e-6)
EXP = rounded([1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1])
LOG = rounded([7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
               2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1])
SQRT_2, LOG_LOW, LOG_HIGH = f32(1.41421356), f32(-2.12194440e-4), f32(0.693359375)
TWO_OVER_PI = f32(0.636619772)
HALF_PI = rounded([1.5703125, 4.837512969970703125e-4, 7.54978995489188e-8])
SIN = rounded([-1.9515295891e-4, 8.3321608736e-3, 1.6666654611e-1])
COS = rounded([2.443315711809948e-5, 1.388731625493765e-3, 4.166664568298827e-2])


def exp_all(xs):
    """exp of each, an operation at a time over all of them."""
    x = [min(max(a, -87.0), 87.0) for a in xs]
    t = rounded([a + MAGIC for a in scaled(x, LOG2_E)])
    k = rounded([a - MAGIC for a in t])
    # bits(t) - bits(12582912): between 2^23 and 2^24 a step of the bits is a step of one. NaN stays NaN, whatever n is.
    n = [0 if math.isnan(a) else int(a) for a in k]
    r = rounded([a - b for a, b in zip(x, scaled(k, LN2_HIGH))])
    r = rounded([a - b for a, b in zip(r, scaled(k, LN2_LOW))])
    p = [EXP[0]] * len(x)
    for c in EXP[1:]:
        p = rounded([a + c for a in multiply(p, r)])
    p = add(multiply(p, multiply(r, r)), r)
    p = rounded([a + 1.0 for a in p])
    return rounded(map(math.ldexp, p, n))


def exp(x):
    return exp_all([x])[0]


def log(x):
    e = (bits(x) >> 23) - 127
    m = from_bits(bits(x) & 0x7fffff | 0x3f800000)
    if m > SQRT_2:
        m, e = f32(m * 0.5), e + 1
    z = f32(m - 1.0)
    y = LOG[0]
    for c in LOG[1:]:
        y = f32(f32(y * z) + c)
    zz = f32(z * z)
    y = f32(f32(y * z) * zz)
    y = f32(y + f32(float(e) * LOG_LOW))
    y = f32(y - f32(0.5 * zz))
    return f32(f32(z + y) + f32(float(e) * LOG_HIGH))


def sin_cos(x):
    t = f32(f32(x * TWO_OVER_PI) + MAGIC)
    k = f32(t - MAGIC)
    q = bits(t) & 3
    r = x
    for part in HALF_PI:
        r = f32(r - f32(k * part))
    w = f32(r * r)
    s = f32(f32(SIN[0] * w) + SIN[1])
    s = f32(f32(s * w) - SIN[2])
    s = f32(f32(f32(s * w) * r) + r)
    c = f32(f32(COS[0] * w) - COS[1])
    c = f32(f32(c * w) + COS[2])
    c = f32(f32(c * w) * w)
    c = f32(f32(c - f32(0.5 * w)) + 1.0)
    return (s, c, -s, -c)[q], (c, -s, -c, s)[q]


# === 3. Exact products ===

CHUNK = 1024


class Failed(Exception):
    """The step has no result."""


def quantise(row):
    """The row as integers, and the exponent of their grid."""
    top = max(map(abs, row))
    e = max(70, bits(top) + 0x10000 >> 23)
    if e > 183 or not math.isfinite(sum(row)):
        raise Failed("an operand is too large for its grid")
    scale = math.ldexp(1.0, 133 - e)
    return [round(x * scale) for x in row], e - 133


def integer_products(a, b):
    """sum over k of a[i][k] * b[j][k] for integers whose sums stay below 2^31 in size.

    A column of b becomes one long number with a field of 32 bits for each j, so that a row of a is multiplied with all
    of b at once; 2^31 in every field keeps the fields apart where they are negative."""
    offset = 1 << 31
    offsets = int.from_bytes(array("I", [offset] * len(b)).tobytes(), sys.byteorder)
    columns = []
    for column in zip(*b):
        fields = array("I", [q + offset for q in column])
        columns.append(int.from_bytes(fields.tobytes(), sys.byteorder) - offsets)
    for row in a:
        total = sum(map(mul, row, columns)) + offsets
        yield [q - offset for q in array("I", total.to_bytes(4 * len(b), sys.byteorder))]


def product(a, b):
    """Y[i][j] = sum over k of a[i][k] * b[j][k]."""
    y = None
    for start in range(0, len(a[0]), CHUNK):
        grid_a, exponent_a = zip(*(quantise(row[start:start + CHUNK]) for row in a))
        grid_b, exponent_b = zip(*(quantise(row[start:start + CHUNK]) for row in b))
        scale_b = [math.ldexp(1.0, e) for e in exponent_b]
        part = [[math.ldexp(q * g, e) for q, g in zip(row, scale_b)]
                for row, e in zip(integer_products(grid_a, grid_b), exponent_a)]
        y = part if y is None else [add(old, new) for old, new in zip(y, part)]
    return y


def transposed(rows):
    return [list(column) for column in zip(*rows)]


# === 4. Model ===

SKIPPED = 8
EPSILON = f32(1e-5)


class Model:
    """Sizes, and where each tensor lies in theta."""

    def __init__(self, d, layers, heads, ff, ctx):
        self.d, self.layers, self.heads, self.ff, self.ctx = d, layers, heads, ff, ctx
        self.hd = d // heads
        self.tensors = []  # name, offset, rows, columns
        self.n = 0
        self.place("embedding", 256, d)
        for layer in range(layers):
            self.place(f"{layer}.norm_attention", 1, d)
            for name in ("wq", "wk", "wv", "wo"):
                self.place(f"{layer}.{name}", d, d)
            self.place(f"{layer}.norm_mlp", 1, d)
            self.place(f"{layer}.wgate", ff, d)
            self.place(f"{layer}.wup", ff, d)
            self.place(f"{layer}.wdown", d, ff)
        self.place("norm", 1, d)
        self.place("head", 256, d)
        self.offset = {name: offset for name, offset, _, _ in self.tensors}
        self.cos, self.sin = self.rotary_table()

    def place(self, name, rows, columns):
        self.tensors.append((name, self.n, rows, columns))
        self.n += rows * columns

    def rotary_table(self):
        rho = exp(-f32(f32(2.0 / float(self.hd)) * f32(9.210340371976184)))
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
    r = f32(1.0 / f32(math.sqrt(f32(f32(dot16(x, x) / float(len(x))) + EPSILON))))
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


def attention_head(q, k, v):
    """a and p of one head of one row of the batch; q, k, v are [ctx][hd]."""
    hd, columns = len(q[0]), transposed(k)
    scale = f32(1.0 / f32(math.sqrt(float(hd))))
    p, a = [], []
    for i, row in enumerate(q):
        s = chain(((row[c], columns[c][:i + 1]) for c in range(hd)), i + 1)
        top = max(s)
        e = exp_all(scaled(rounded([x - top for x in s]), scale))
        p.append(scaled(e, f32(1.0 / sum16(e))))
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
            a, p = attention_head(q, k, v)
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
    e = max(70, bits(inv) + 0x10000 >> 23) - 133
    out = []
    for x, word in zip(dx, philox_counters(key, [(token, DITHER + 256 * draw) for draw in range(64)])):
        shift = f32(float((word >> 16) - (word & 0xffff)) * math.ldexp(1.0, e - 16))
        out.append(math.ldexp(float(round(math.ldexp(f32(x + shift), -e))), e))
    return out


def micro_batch(model, theta, windows, inv, gradient, key, first_row):
    """Losses of the tokens of some windows; adds to the gradient unless it is None. The first window is that row of the key's."""
    ctx, d = model.ctx, model.d
    tokens = [byte for window in windows for byte in window[:ctx]]
    targets = [byte for window in windows for byte in window[1:ctx + 1]]
    embedding, head = model.matrix(theta, "embedding", 256, d), model.matrix(theta, "head", 256, d)
    h = [embedding[byte] for byte in tokens]
    layers = [Layer(model, theta, i) for i in range(model.layers)]
    for layer in layers:
        h = layer.forward(h)
    g = model.norm(theta, "norm")
    z, r = zip(*(rmsnorm(row, g) for row in h))
    logits = product(z, head)
    losses, dlogits = [], []
    for t, row in enumerate(logits):
        counted = t % ctx >= SKIPPED
        loss, dx = token_loss(row, targets[t], inv) if counted else (0.0, [0.0] * 256)
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


def loss_and_gradient(model, theta, windows, key=None, first_row=0):
    """Without a key the loss alone. The key dithers, and first_row is the batch's first among the rows that it dithers."""
    inv = f32(1.0 / float(len(windows) * (model.ctx - SKIPPED)))
    gradient = Gradient(model) if key else None
    rows, losses = 1024 // model.ctx, []
    for first in range(0, len(windows), rows):
        losses += micro_batch(model, theta, windows[first:first + rows], inv, gradient, key, first_row + first)
    return f32(sum16(losses) * inv), gradient.vector if gradient else None


# === 5. Iteration ===


def ppm(n):
    return f32(float(n) / 1000000.0)


def power(b, t):
    result = b
    for _ in range(t - 1):
        result = f32(result * b)
    return result


def decays(model):
    """For each parameter, whether weight decay applies."""
    out = []
    for name, _, rows, columns in model.tensors:
        out += [name != "embedding" and "norm" not in name] * (rows * columns)
    return out


class AdamW:
    B1, B2, EPSILON = f32(0.9), f32(0.99), f32(1e-8)

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
        below = rounded([a + self.EPSILON for a in root])
        move = rounded([a / b for a, b in zip(scaled(self.m, c1), below)])
        move = scaled(add(move, multiply(self.wd, w)), self.lr)
        return rounded([a - b for a, b in zip(w, move)])


# === 6. Step and delta code ===


def encode(x, seed):
    out = bytearray()
    noise = philox_words(seed, NOISE, 0, (len(x) + 63) // 64 * 16)
    for start in range(0, len(x), 64):
        block = x[start:start + 64]
        block += [0.0] * (64 - len(block))
        top = max(map(abs, block))
        e = next((e for e in range(-40, 1) if math.ldexp(top, -e) <= 126.0), None)
        if e is None:
            raise Failed("a difference is too large for the delta code")
        u = [math.ldexp(word >> 8, -24) for word in noise[start:start + 64]]
        out += struct.pack("<b64b", e, *(math.floor(a) for a in add([math.ldexp(a, -e) for a in block], u)))
    return bytes(out)


def decode(delta, n):
    out = []
    for start in range(0, len(delta), 65):
        e, *q = struct.unpack("<b64b", delta[start:start + 65])
        out += [math.ldexp(a, e) for a in q]
    return out[:n]


def step(spec, theta, seed, data):
    """The delta of the step that this seed makes on one dataset's bytes."""
    w, optimizer = theta, AdamW(spec.model, ppm(spec.lr_ppm), ppm(spec.wd_ppm))
    for iteration in range(spec.iterations):
        windows = [draw_window(seed, WINDOW, iteration * spec.batch + row, data, spec.model.ctx)
                   for row in range(spec.batch)]
        loss, g = loss_and_gradient(spec.model, w, windows, seed, iteration * spec.batch)
        q = dot16(g, g)
        if not (math.isfinite(loss) and math.isfinite(q)):
            raise Failed("loss or gradient is not finite")
        c = f32(math.sqrt(q))
        w = optimizer.update(w, g, f32(1.0 / c) if c > 1.0 else 1.0)
    if not all(map(math.isfinite, w)):
        raise Failed("a weight is not finite")
    return encode(rounded([a - b for a, b in zip(w, theta)]), seed)


# === 7. Draws ===

SLOT, WINDOW, NOISE, DATASET, BENCHMARK, INIT, DITHER = 1, 2, 3, 4, 5, 6, 9
WORD = 0xffffffff


def philox_words(key, domain, first, count):
    """The draws of the indices first .. first + count - 1: four words each, in a row."""
    return philox_counters(key, [(index, domain) for index in range(first, first + count)])


def philox_counters(key, counters):
    """Philox4x32-10 (Salmon et al., 2011) for pairs of index and domain: four words each, in a row.

    All of them go through the rounds at once, as fields of 64 bits in long numbers: a field is as wide as a product."""
    def fields(values):
        return int.from_bytes(array("Q", values).tobytes(), sys.byteorder)

    count = len(counters)
    ones = fields([1] * count)
    low = ones * WORD
    k0, k1, k2, k3 = struct.unpack("<4I", key[:16])
    c0, c1, c2, c3 = *map(fields, zip(*counters)), ones * k2, ones * k3
    for _ in range(10):
        a, b = c0 * 0xd2511f53, c2 * 0xcd9e8d57
        c0, c1, c2, c3 = b >> 32 & low ^ c1 ^ ones * k0, b & low, a >> 32 & low ^ c3 ^ ones * k1, a & low
        k0, k1 = k0 + 0x9e3779b9 & WORD, k1 + 0xbb67ae85 & WORD
    columns = [array("Q", c.to_bytes(8 * count, sys.byteorder)) for c in (c0, c1, c2, c3)]
    return [word for words in zip(*columns) for word in words]


def philox(key, domain, index):
    return tuple(philox_words(key, domain, index, 1))


def draw(key, domain, index):
    o = philox(key, domain, index)
    return o[0] | o[1] << 32


def draw_window(key, domain, index, data, ctx):
    o = philox(key, domain, index)
    offset = mulhi(o[2] | o[3] << 32, len(data) - (ctx - 7) + 1)
    return struct.pack("<2I", o[0], o[1]) + data[offset:offset + ctx - 7]


def initial_theta(model, name):
    key = H(b"atelier initial state" + name.encode())
    a = f32(0.034)
    out_a = f32(a / f32(math.sqrt(float(2 * model.layers))))
    theta = []
    words = philox_words(key, INIT, 0, (model.n + 3) // 4)
    for tensor, offset, rows, columns in model.tensors:
        count = rows * columns
        if "norm" in tensor:
            theta += [1.0] * count
        else:
            size = out_a if tensor.endswith((".wo", ".wdown")) else a
            theta += scaled([math.ldexp((word >> 8) - (1 << 23), -23) for word in words[offset:offset + count]], size)
    return theta


# === 8. Header ===


class Header:
    FORMAT = "<I32s32s32s32s32sIIQ32s"

    def __init__(self, prev=bytes(32), tx_root=bytes(32), proofs_root=bytes(32), model_root=bytes(32), miner=bytes(32),
                 time=0, target_bits=0, nonce=0, digest=bytes(32)):
        self.prev, self.tx_root, self.proofs_root, self.model_root = prev, tx_root, proofs_root, model_root
        self.miner, self.time, self.bits, self.nonce, self.digest = miner, time, target_bits, nonce, digest

    @classmethod
    def parse(cls, raw):
        version, *fields = struct.unpack(cls.FORMAT, raw)
        assert version == 1
        return cls(*fields)

    def raw(self):
        return struct.pack(self.FORMAT, 1, self.prev, self.tx_root, self.proofs_root, self.model_root, self.miner,
                           self.time, self.bits, self.nonce, self.digest)

    def seed(self):
        return HH(self.raw()[:180])

    def ticket(self):
        return HH(self.seed() + self.digest)

    def id(self):
        return HH(self.raw())


# === 9. Targets ===


def to_compact(target):
    size = (target.bit_length() + 7) // 8
    word = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if word & 0x800000:
        word, size = word >> 8, size + 1
    return size << 24 | word


def from_compact(n):
    size, word = n >> 24, n & 0x7fffff
    return word >> 8 * (3 - size) if size <= 3 else word << 8 * (size - 3)


def limit(k):
    return min(2 ** 256 // k, 2 ** 256 - 1)


def next_bits(spec, height, time):
    """Of a child of the block at this height with this time."""
    if spec.spacing == 0:
        return to_compact(limit(spec.k))
    anchor, half_life = from_compact(to_compact(limit(spec.k))), 288 * spec.spacing
    late = (time - (spec.genesis_time - spec.spacing) - spec.spacing * (height + 1)) * 65536
    exponent = abs(late) // half_life * (1 if late >= 0 else -1)
    shifts, f = exponent >> 16, exponent & 0xffff
    factor = 65536 + (195766423245049 * f + 971821376 * f * f + 5127 * f ** 3 + 2 ** 47 >> 48)
    target = anchor * factor
    target = target << shifts - 16 if shifts >= 16 else target >> 16 - shifts
    return to_compact(min(max(target, 1), limit(spec.k)))


# === 10. The state and its update ===


def model_root(theta, v):
    return merkle_root(pages(array("f", theta).tobytes() + array("f", v).tobytes(), 65536))


def integer(x):
    if not math.isfinite(x):
        return -2 ** 47
    return min(max(round(x * 2.0 ** 32), -2 ** 47), 2 ** 47)


def propose(spec, theta, v, update):
    mu, eta = ppm(spec.mu_ppm), ppm(spec.eta_ppm)
    v2 = add(scaled(v, mu), update)
    return add(theta, scaled(add(update, scaled(v2, mu)), eta)), v2


def mean_of(vectors):
    total = vectors[0]
    for vector in vectors[1:]:
        total = add(total, vector)
    return rounded([a / float(len(vectors)) for a in total])


class Outcome:
    def __init__(self, void, slots=()):
        self.void, self.slots = void, list(slots)  # of each slot: (count, left out, value)

    def payload(self):
        if self.void:
            return b"atl\0\1"
        out = b"atl\0\0"
        for count, left_out, value in self.slots:
            out += struct.pack("<Bq", (2 if left_out else 1) if count else 0, value if count else 0)
        return out


def update_state(spec, theta, v, ticket, proofs, v_ref=None):
    """State after a block, its outcome, and (l0, l1) as far as they were computed. Proofs are (slot, delta) in order, v_ref None
    where no records stand."""
    model, n = spec.model, spec.model.n
    l0 = l1 = math.nan
    windows = [draw_window(ticket, BENCHMARK, row, spec.benchmark(), model.ctx) for row in range(spec.bench_rows)]
    deltas = [decode(delta, n) for _, delta in proofs]
    try:
        l0, g0 = loss_and_gradient(model, theta, windows, ticket)
        means = {s: mean_of([x for (slot, _), x in zip(proofs, deltas) if slot == s]) for s, _ in sorted(proofs)}
        final = propose(spec, theta, v, mean_of([means[s] for s in sorted(means)]))
        l1, g1 = loss_and_gradient(model, final[0], windows, ticket, spec.bench_rows)
        half = scaled(add(g0, g1), 0.5)
        values = [integer(-dot16(x, half)) for x in deltas]
        slots, used = [], []
        for s in range(spec.slots):
            mine = [value for (slot, _), value in zip(proofs, values) if slot == s]
            value = sum(mine) // len(mine) if mine else 0
            left_out = bool(mine) and v_ref is not None and value < -v_ref
            slots.append((len(mine), left_out, value))
            if mine and not left_out:
                used.append(s)
        if not used:
            raise Failed("no slot is left")
        if len(used) < len(means):
            final = propose(spec, theta, v, mean_of([means[s] for s in used]))
            l1, _ = loss_and_gradient(model, final[0], windows)
        finite = all(map(math.isfinite, g0 + g1 + final[0] + final[1] + [l0, l1]))
        if not (finite and l1 <= f32(l0 * ppm(spec.gate_ppm))):
            raise Failed("the gate")
        return final, Outcome(False, slots), (l0, l1)
    except Failed:
        return (theta, [0.0] * n), Outcome(True), (l0, l1)


# === 11 to 14. Coinbase, rewards, datasets ===


def push(data):
    return (b"" if len(data) <= 75 else b"\x4c") + bytes([len(data)]) + data


def payee(key):
    return b"\x51\x20" + key


def height_script(height):
    return push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def subsidy(spec, height):
    shift = height // spec.halving
    return spec.subsidy >> shift if shift < 64 else 0


def compute_part(spec, height):
    return subsidy(spec, height) * 7 // 10


def proof_worth(spec, height, bucket, loose):
    """Worth of each proof of a block, and the bucket after it."""
    r = compute_part(spec, height)
    bucket = min(bucket + r, 16 * r)
    w = min(r // spec.k, bucket // (1 + loose))
    return w, bucket - w * (1 + loose)


def slot_pay(spec, height, count, value, v_ref):
    """Pay of one slot of the block at `height`."""
    part = subsidy(spec, height) - compute_part(spec, height)
    return part // spec.slots * min(spec.k, spec.slots * count) * min(v_ref, max(0, value)) // (spec.k * v_ref)


def coinbase(spec, height, fees, miner, loose_miners, bucket, parent, owners, v_ref):
    """The transaction's bytes. bucket: after the parent; parent: its outcome; owners: of its slots' datasets, or None."""
    w, _ = proof_worth(spec, height, bucket, len(loose_miners))
    outputs = [(w + fees + len(loose_miners) * (w // 16), payee(miner))]
    outputs += [(w - w // 16, payee(key)) for key in loose_miners]
    if not parent.void:
        outputs += [(slot_pay(spec, height - 1, count, value, v_ref), payee(owner))
                    for (count, _, value), owner in zip(parent.slots, owners) if owner is not None]
    outputs = [output for output in outputs if output[0] > 0] + [(0, b"\x6a" + push(parent.payload()))]
    raw = struct.pack("<IB32sI", 1, 1, bytes(32), WORD)
    raw += compact(len(height_script(height))) + height_script(height) + struct.pack("<I", WORD) + compact(len(outputs))
    for amount, script in outputs:
        raw += struct.pack("<q", amount) + compact(len(script)) + script
    return raw + bytes(4)


def draw_datasets(spec, ticket, weights):
    """Numbers of the datasets of the slots; weights: (number, weight) of the candidates, ascending by number."""
    left, out = list(weights), []
    for i in range(spec.slots):
        if not left:
            out.append(0)
            continue
        r = mulhi(draw(ticket, DATASET, i), sum(w for _, w in left))
        chosen = next(i for i, total in enumerate(accumulate(w for _, w in left)) if total > r)
        out.append(left.pop(chosen)[0])
    return out


# === 16. Chain specs and genesis ===


class Spec:
    """A chain spec: the fields of section 16's table, by name, and its corpus."""

    ORDER = ("genesis_time spacing k d layers heads ff ctx batch iterations slots bench_rows bench_bytes lr_ppm wd_ppm "
             "mu_ppm eta_ppm gate_ppm v_0 v_min subsidy halving maturity data_delay burn_rate blob_min blob_max "
             "blob_budget block_weight corpus_size").split()

    def __init__(self, fields, corpus):
        self.__dict__.update(fields)
        self.corpus, self.corpus_size = corpus, len(corpus)
        self.model = Model(self.d, self.layers, self.heads, self.ff, self.ctx)
        self.theta = initial_theta(self.model, self.name)

    RULES = 2

    def commitment(self):
        texts = struct.pack("<Q", self.RULES) + b"".join(compact(len(t)) + t.encode() for t in (self.name, self.hrp))
        numbers = b"".join(struct.pack("<Q", getattr(self, field)) for field in self.ORDER)
        return H(texts + numbers + corpus_root(self.corpus))

    def dataset(self):
        """Dataset 0."""
        return self.corpus[:-self.bench_bytes]

    def benchmark(self):
        return self.corpus[-self.bench_bytes:]

    def genesis(self):
        return Header(model_root=model_root(self.theta, [0.0] * self.model.n), time=self.genesis_time,
                      target_bits=to_compact(limit(self.k)), digest=self.commitment())
