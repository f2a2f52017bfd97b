"""Exported models as other programs run them: a Llama in binary64, for small models, and what they call its tensors."""

import math
import random

from .arithmetic import rounded
from .model import EPSILON, ROTARY_BASE, VOCABULARY

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


def make_tensors(sizes, seed=1):
    """Tensors of a Llama of such sizes, wild enough to write what nobody expects."""
    draws, d, ff = random.Random(seed), sizes["d"], sizes["ff"]
    shapes = {"input_layernorm": [d], "post_attention_layernorm": [d], "mlp.gate_proj": [ff, d], "mlp.up_proj": [ff, d],
              "mlp.down_proj": [d, ff], **{f"self_attn.{x}_proj": [d, d] for x in "qkvo"}}
    tensors = {"model.embed_tokens.weight": [VOCABULARY, d], "model.norm.weight": [d], "lm_head.weight": [VOCABULARY, d]}
    for i in range(sizes["layers"]):
        tensors.update({f"model.layers.{i}.{part}.weight": shape for part, shape in shapes.items()})
    made = {}
    for name, shape in tensors.items():
        count = math.prod(shape)
        made[name] = shape, rounded(draws.gauss(len(shape) == 1, 0.3) for _ in range(count))
    return made


def theta_of(tensors):
    """All parameters in the order of section 4, from tensors with transformers' names."""
    embedding, *rest = TRANSFORMERS["outside"]
    layers = range(sum(name.endswith(".input_layernorm.weight") for name in tensors))
    order = [embedding, *(name.format(i) for i in layers for name in TRANSFORMERS["layer"]), *rest]
    return [x for name in order for x in tensors[name][1]]


def rows(tensor):
    shape, values = tensor
    return [values[i:i + shape[-1]] for i in range(0, len(values), shape[-1])]


def multiply(matrix, x):
    return [math.fsum(a * b for a, b in zip(row, x)) for row in matrix]


def normalise(x, gain):
    scale = 1 / math.sqrt(math.fsum(v * v for v in x) / len(x) + EPSILON)
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
                angle = position * ROTARY_BASE ** (-2 * i / size)
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
