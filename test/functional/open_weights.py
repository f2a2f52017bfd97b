"""Exported models, read and run by a second implementation: safetensors and GGUF written down from their descriptions,
a Llama in float64. Plain Python, slow, for small models."""

import json
import math
import random
import struct

# ---- safetensors ----


def read_safetensors(path):
    """{name: (shape, [values])}, and the header's metadata."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    body, tensors, covered = data[8 + length:], {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        assert begin == covered, f"{name} leaves a hole or overlaps"
        assert entry["dtype"] == "F32" and end - begin == 4 * math.prod(entry["shape"])
        tensors[name] = entry["shape"], list(struct.unpack_from(f"<{(end - begin) // 4}f", body, begin))
        covered = end
    assert covered == len(body)
    return tensors, metadata


def make_tensors(sizes, seed=1):
    """{name: (shape, bytes)} of a Llama of such sizes, in F32, wild enough to write what nobody expects."""
    draws, d, ff = random.Random(seed), sizes["d"], sizes["ff"]
    shapes = {"input_layernorm": [d], "post_attention_layernorm": [d], "mlp.gate_proj": [ff, d], "mlp.up_proj": [ff, d],
              "mlp.down_proj": [d, ff], **{f"self_attn.{x}_proj": [d, d] for x in "qkvo"}}
    tensors = {"model.embed_tokens.weight": [256, d], "model.norm.weight": [d], "lm_head.weight": [256, d]}
    for i in range(sizes["layers"]):
        tensors.update({f"model.layers.{i}.{part}.weight": shape for part, shape in shapes.items()})
    made = {}
    for name, shape in tensors.items():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        values = struct.pack(f"<{count}f", *(draws.gauss(len(shape) == 1, 0.3) for _ in range(count)))
        made[name] = shape, values
    return made


def write_safetensors(path, tensors, dtype="F32"):
    header, body = {}, b""
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(values)]}
        body += values
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


# ---- GGUF ----

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
F32, Q8_0 = 0, 8


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0
        assert self.data[:4] == b"GGUF"
        self.at = 4
        version, tensors, keys = self.take("I"), self.take("Q"), self.take("Q")
        assert version == 3
        self.keys = {}
        for _ in range(keys):
            name = self.string()
            assert name not in self.keys
            self.keys[name] = self.value(self.take("I"))
        places = [self.place() for _ in range(tensors)]
        alignment = self.keys.get("general.alignment", 32)
        self.start = -(-self.at // alignment) * alignment
        assert all(offset % alignment == 0 for *_, offset in places)
        self.types = {name: kind for name, _, kind, _ in places}
        self.tensors = {name: (shape, self.values(shape, kind, offset)) for name, shape, kind, offset in places}

    def take(self, letter):
        (value,) = struct.unpack_from("<" + letter, self.data, self.at)
        self.at += struct.calcsize("<" + letter)
        return value

    def string(self):
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            kind, count = self.take("I"), self.take("Q")
            return [self.value(kind) for _ in range(count)]
        return self.take(SCALARS[kind])

    def place(self):
        name = self.string()
        shape = [self.take("Q") for _ in range(self.take("I"))][::-1]  # the file has the contiguous one first
        return name, shape, self.take("I"), self.take("Q")

    def values(self, shape, kind, offset):
        count, at = math.prod(shape), self.start + offset
        if kind == F32:
            return list(struct.unpack_from(f"<{count}f", self.data, at))
        assert kind == Q8_0 and shape[-1] % 32 == 0
        values = []
        for block in range(count // 32):
            scale, *whole = struct.unpack_from("<e32b", self.data, at + 34 * block)
            values += [scale * q for q in whole]
        return values


# ---- The model ----


def rows(tensor):
    shape, values = tensor
    return [values[i:i + shape[-1]] for i in range(0, len(values), shape[-1])]


def multiply(matrix, x):
    return [math.fsum(a * b for a, b in zip(row, x)) for row in matrix]


def normalise(x, gain):
    scale = 1 / math.sqrt(math.fsum(v * v for v in x) / len(x) + 1e-5)
    return [v * scale * g for v, g in zip(x, gain)]


class Llama:
    """`pairs` says which elements of a head the rotary embedding joins: "halves" i and i + hd / 2, as transformers,
    "neighbours" 2i and 2i + 1, as llama.cpp."""

    def __init__(self, tensors, names, layers, heads, pairs):
        self.heads, self.pairs = heads, pairs
        self.embedding, (self.norm,), self.head = (rows(tensors[name]) for name in names["outside"])
        self.layers = [[rows(tensors[name.format(i)]) for name in names["layer"]] for i in range(layers)]

    def rotate(self, x, position):
        size, out = len(x) // self.heads, list(x)
        for head in range(0, len(x), size):
            for i in range(size // 2):
                a, b = (head + i, head + i + size // 2) if self.pairs == "halves" else (head + 2 * i, head + 2 * i + 1)
                angle = position * 10000.0 ** (-2 * i / size)
                out[a] = x[a] * math.cos(angle) - x[b] * math.sin(angle)
                out[b] = x[a] * math.sin(angle) + x[b] * math.cos(angle)
        return out

    def attend(self, queries, keys, values, position):
        size, out = len(queries) // self.heads, []
        for head in range(0, len(queries), size):
            scores = [math.fsum(queries[head + i] * key[head + i] for i in range(size)) / math.sqrt(size)
                      for key in keys[:position + 1]]
            weights = [math.exp(score - max(scores)) for score in scores]
            out += [math.fsum(w * v[head + i] for w, v in zip(weights, values)) / sum(weights) for i in range(size)]
        return out

    def logits(self, text):
        """What follows the text's last byte."""
        h = [self.embedding[byte] for byte in text]
        for (norm,), wq, wk, wv, wo, (norm_mlp,), gate, up, down in self.layers:
            z = [normalise(x, norm) for x in h]
            queries = [self.rotate(multiply(wq, x), position) for position, x in enumerate(z)]
            keys = [self.rotate(multiply(wk, x), position) for position, x in enumerate(z)]
            values = [multiply(wv, x) for x in z]
            for position, x in enumerate(h):
                a = multiply(wo, self.attend(queries[position], keys, values, position))
                x = [p + q for p, q in zip(x, a)]
                y = normalise(x, norm_mlp)
                hidden = [g / (1 + math.exp(-g)) * u for g, u in zip(multiply(gate, y), multiply(up, y))]
                h[position] = [p + q for p, q in zip(x, multiply(down, hidden))]
        return multiply(self.head, normalise(h[-1], self.norm))


TRANSFORMERS = {
    "outside": ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"],
    "layer": [f"model.layers.{{}}.{part}.weight" for part in (
        "input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")],
}
LLAMA_CPP = {
    "outside": ["token_embd.weight", "output_norm.weight", "output.weight"],
    "layer": [f"blk.{{}}.{part}.weight" for part in (
        "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")],
}


def byte_texts():
    """GPT-2's text of each byte: what is printable in Latin-1 is itself, the others are U+0100 and up."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in kept]
    return [chr(byte) if byte in kept else chr(256 + others.index(byte)) for byte in range(256)]
