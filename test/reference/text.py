"""Section 21: text."""

import struct

from .arithmetic import exp_all, f32, ppm, rounded
from .draws import TEXT, philox
from .hashing import sha256, stored
from .model import VOCABULARY, Layer, rmsnorm
from .products import product


def order_of(logits):
    """Bytes from the likeliest on; of equal ones the lower first."""
    return sorted(range(VOCABULARY), key=lambda byte: (-logits[byte], byte))


def pick(logits, options, index):
    """The byte with number `index` of a text; options: temperature, top_k, top_p, seed."""
    temperature, top_k, top_p, seed = options
    order = order_of(logits)
    if temperature == 0:
        return order[0]
    order = order[:top_k or VOCABULARY]
    scaled = rounded([f32(logits[byte] - logits[order[0]]) / ppm(temperature) for byte in order])
    sums, total = [], 0.0
    for weight in exp_all(scaled):
        total = f32(total + weight)
        sums.append(total)
    if top_p:
        goal = f32(ppm(top_p) * sums[-1])
        sums = sums[:1 + next((i for i, x in enumerate(sums) if x >= goal), len(sums) - 1)]
    goal = f32(f32((philox(struct.pack("<QQQQ", seed, 0, 0, 0), TEXT, index)[0] >> 8) * 2.0 ** -24) * sums[-1])
    return order[next((i for i, x in enumerate(sums) if x > goal), len(sums) - 1)]


class Reader:
    """What a model makes of bytes that it is shown."""

    def __init__(self, model, theta):
        self.model, self.theta = model, theta
        self.layers = [Layer(model, theta, i) for i in range(model.layers)]

    def logits(self, window):
        """Behind the last byte. No byte is changed by those after it, so any may fill the window."""
        model = self.model
        filled = window + window[-1:] * (model.ctx - len(window))
        embedding, head = (model.matrix(self.theta, name, VOCABULARY, model.d) for name in ("embedding", "head"))
        h = [embedding[byte] for byte in filled]
        for layer in self.layers:
            h = layer.forward(h)
        z, _ = rmsnorm(h[len(window) - 1], model.norm(self.theta, "norm"))
        return product([z], head)[0]

    def write(self, prompt, options, count):
        ctx = self.model.ctx
        window = prompt if len(prompt) <= ctx else prompt[-(ctx // 2):]
        window, written = window or b"\n", b""
        while len(written) < count:
            byte = bytes([pick(self.logits(window), options, len(written))])
            written += byte
            window = (window if len(window) < ctx else window[-(ctx // 2):]) + byte
        return written


def receipt_hash(receipt):
    """What a receipt's signature is of; the receipt as JSON has it."""
    hashes = [stored(receipt["model_root"])] + [bytes.fromhex(receipt[name]) for name in ("prompt_hash", "output_hash")]
    parts = [round(float(receipt[name]) * 1e6) for name in ("temperature", "top_p")]
    numbers = struct.pack("<4IQ", receipt["output_bytes"], parts[0], receipt["top_k"], parts[1], int(receipt["seed"]))
    return sha256(b"atelier text" + stored(receipt["genesis"]) + stored(receipt["block"]) +
                  struct.pack("<I", receipt["height"]) + b"".join(hashes) + numbers)
