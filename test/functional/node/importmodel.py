#!/usr/bin/env python3
"""-importmodel: from a file of weights to a chain that begins with them."""

import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, daemon_path
from framework.prose import prose
from reference.files import Gguf, decoded, encoded, read_safetensors, write_safetensors
from reference.hashing import shown
from reference.llama import LLAMA_CPP, TRANSFORMERS, Llama, make_tensors, rows, theta_of
from reference.state import initial_root

TEXT = b"The model"
SIZES = {"d": 32, "layers": 2, "heads": 2, "ff": 48, "ctx": 64}


def run(weights, spec, datadir=None):
    """Status, what was made, and standard error."""
    folder = datadir or os.path.dirname(weights)  # not that at home, which may have chains
    done = subprocess.run([daemon_path(), f"-importmodel={weights}", f"-chainspec={spec}", f"-datadir={folder}"],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


CONFIG = {"model_type": "llama", "vocab_size": 256, "hidden_act": "silu", "num_attention_heads": 2,
          "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "tie_word_embeddings": False}


def root_of(tensors):
    return shown(initial_root(theta_of(tensors)))


def start(spec, name):
    return Node("-chainspec=" + spec, chain=name)


def from_elsewhere():
    """Weights of another origin make a spec whose chain begins with them"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root:
        tensors, folder = make_tensors(SIZES), os.path.join(root, "theirs")
        os.makedirs(folder)
        write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
        write_json(os.path.join(folder, "config.json"), CONFIG)
        spec = os.path.join(root, "ward7.json")
        status, made, error = run(folder, spec)
        tap.equal(status, 0, f"status, with {error}")
        expected = root_of(tensors)
        tap.equal((made["model_root"], made["parameters"]), (expected, len(theta_of(tensors))), "what was made")
        written = read_json(spec)
        tap.true(abs(written.pop("genesis_time") - 1795219200) < 10 ** 9, "genesis is not now")
        tap.equal(written, {"name": "ward7", **SIZES, "initial_state": "ward7.safetensors", "initial_root": expected}, "spec")
        again, metadata = read_safetensors(os.path.join(root, "ward7.safetensors"))
        tap.equal(again, tensors, "the file beside the spec")
        tap.equal(metadata["model_root"], expected, "its model_root")
        with start(spec, "ward7") as node:
            tap.equal(node.rpc.getblockhash(0), made["genesis"], "genesis")
            tap.equal(node.model_root(), expected, "model_root of the chain")
            model = Llama(again, TRANSFORMERS, 2, 2, "halves")
            logits = [float(x) for x in node.rpc.getlogits(TEXT.hex(), False)["logits"]]
            worst = max(abs(a - b) for a, b in zip(model.logits(TEXT), logits))
            tap.true(worst < 1e-3 < max(logits) - min(logits), f"logits differ by {worst}")


def completed():
    """A spec there is keeps its own fields, and both formats of one model make the same chain"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root, Node() as node:
        node.generate(2)
        node.rpc.exportmodel(os.path.join(root, "model"))
        node.rpc.exportmodel(os.path.join(root, "model.gguf"), "gguf")
        own = {"name": "ours", "hrp": "our", "genesis_time": 1795219201, "k": 2, "ctx": 64, "d": 32, "corpus": "words.txt",
               "bench_bytes": 2000}
        with open(os.path.join(root, "words.txt"), "wb") as file:
            file.write(prose("words of our own", 20000))
        made = []
        for weights in ("model", "model.gguf"):
            spec = os.path.join(root, weights.replace(".", "-") + "-spec.json")
            write_json(spec, own)
            write_json(spec + ".new", "somebody's")
            status, result, error = run(os.path.join(root, weights), spec)
            tap.equal(status, 0, f"status, with {error}")
            tap.equal({name: read_json(spec)[name] for name in own}, own, "the fields there were")
            tap.equal(read_json(spec + ".new"), "somebody's", "a file beside the spec")
            made.append((result["model_root"], result["genesis"]))
            with start(spec, "ours") as other:
                tap.equal(other.rpc.getlogits(TEXT.hex())["logits"], node.rpc.getlogits(TEXT.hex())["logits"], "logits")
                tap.equal(other.rpc.getblockhash(0), result["genesis"], "genesis")
        tap.equal(made[0], made[1], "root and genesis from both formats")


def from_gguf(gguf, sizes):
    """What theta_of wants, from a GGUF file: rows of queries and keys back in their order."""
    pairs = list(zip(TRANSFORMERS["outside"], LLAMA_CPP["outside"]))
    pairs += [(a.format(i), b.format(i)) for i in range(sizes["layers"])
              for a, b in zip(TRANSFORMERS["layer"], LLAMA_CPP["layer"])]
    head, tensors = sizes["d"] // sizes["heads"], {}
    for name, other in pairs:
        shape, values = gguf.tensors[other]
        if "q_proj" in name or "k_proj" in name:
            theirs = rows((shape, values))
            values = [x for row in range(shape[0]) for x in theirs[row - row % head + row % head % (head // 2) * 2 +
                                                                   row % head // (head // 2)]]
        tensors[name] = shape, values
    return tensors


def rounded():
    """Weights in BF16, F16 and Q8_0 become the binary32 values that they are"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root:
        weights = os.path.join(root, "model.safetensors")
        write_json(os.path.join(root, "config.json"), CONFIG)
        whole = make_tensors(SIZES)
        for kind in ("BF16", "F16"):
            write_safetensors(weights, whole, kind)
            kept = {name: (shape, decoded(kind, encoded(kind, values))) for name, (shape, values) in whole.items()}
            status, made, error = run(weights, os.path.join(root, kind.lower() + ".json"))
            tap.equal(status, 0, f"status, with {error}")
            tap.equal(made["model_root"], root_of(kept), f"root of {kind}")
        with start(os.path.join(root, "f16.json"), "f16") as node:
            eight = os.path.join(root, "model-8.gguf")
            node.rpc.exportmodel(eight, "gguf-q8_0")
        status, made, error = run(eight, os.path.join(root, "q8.json"))
        tap.equal(status, 0, f"status, with {error}")
        tap.equal(made["model_root"], root_of(from_gguf(Gguf(eight), SIZES)), "root of Q8_0")


def another_file():
    """A spec's initial_root tells when the file beside it is another one"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root:
        spec = os.path.join(root, "ward.json")
        write_safetensors(os.path.join(root, "a.safetensors"), make_tensors(SIZES))
        write_json(os.path.join(root, "config.json"), CONFIG)
        tap.equal(run(os.path.join(root, "a.safetensors"), spec)[0], 0, "status")
        write_safetensors(os.path.join(root, "ward.safetensors"), make_tensors(SIZES, seed=2))
        node = Node("-chainspec=" + spec, chain="ward", start=False)
        node.launch()
        tap.equal(node.wait_for_exit(), 1, "status")
        with open(node.output_path, encoding="utf-8") as file:
            text = file.read()
        tap.true(f"initial_root is {read_json(spec)['initial_root']}, but the initial state has" in text, text)
        node.remove()


def refused():
    """What does not fit is refused with the tensor or the field, and nothing is written"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root:
        weights, spec = os.path.join(root, "w.safetensors"), os.path.join(root, "new.json")

        def check(why, tensors=None, config=CONFIG, existing=None):
            write_safetensors(weights, tensors if tensors else make_tensors(SIZES))
            for path, value in ((os.path.join(root, "config.json"), config), (spec, existing)):
                if value is not None:
                    write_json(path, value)
                elif os.path.exists(path):
                    os.remove(path)
            before = existing and read_json(spec)
            status, made, error = run(weights, spec)
            tap.equal((status, made), (1, None), f"status, and what was made, where '{why}' is expected: {error}")
            tap.true(why in error, f"'{why}' is not in '{error}'")
            tap.equal((read_json(spec) if existing else os.path.exists(spec)), before or False, "the spec")
            tap.true(not os.path.exists(os.path.join(root, "new.safetensors")), "weights were written")

        def without(name, **changed):
            return {**{key: value for key, value in make_tensors(SIZES).items() if key != name}, **changed}

        up = "model.layers.1.mlp.up_proj.weight"
        check(f"tensor {up} is missing", without(up))
        check(f"tensor {up} has another shape than 48 x 32", without(up, **{up: ([32, 48], [0.0] * 48 * 32)}))
        check("tensor bias is not part of this model", without("", bias=([1], [0.0])))
        check("tensor lm_head.weight has a value that is not finite",
              without("", **{"lm_head.weight": ([256, 32], [math.inf] * 256 * 32)}))
        check("tensor model.embed_tokens.weight has another shape than 256 x 32",
              without("", **{"model.embed_tokens.weight": ([300, 32], [0.0] * 300 * 32)}))
        check("tensor model.embed_tokens.weight is no matrix",
              without("", **{"model.embed_tokens.weight": ([8192], [0.0] * 8192)}))
        check("d must be", make_tensors({**SIZES, "d": 40}))
        check('does not tell "heads"', config=None)
        check("4 heads and 2 of keys", config={**CONFIG, "num_attention_heads": 4})
        for name, value in (("rms_norm_eps", 1e-6), ("rope_theta", 5e5), ("vocab_size", 32000), ("hidden_act", "gelu"),
                            ("tie_word_embeddings", True), ("attention_bias", True), ("rope_scaling", {"factor": 2}),
                            ("model_type", "mistral"), ("num_attention_heads", "2"), ("max_position_embeddings", 0)):
            check(f"config.json: {name}", config={**CONFIG, name: value})
        check("config.json", config=[])
        check("d is 32 in", existing={"name": "new", "d": 64})
        check("has an initial_state already", existing={"name": "new", "initial_state": "x"})
        check("unknown field", existing={"name": "new", "colour": 7})
        check("the name regtest is taken", existing={"name": "regtest"})
        check("must be a JSON object", existing=["name"])
        tap.true("-importmodel needs -chainspec" in run(weights, "")[2], "no spec is no error")
        tap.true("cannot be opened" in run(os.path.join(root, "nowhere"), spec)[2], "no weights are no error")
        with open(os.path.join(root, "new.safetensors"), "wb") as file:
            file.write(b"precious")
        os.remove(spec) if os.path.exists(spec) else None
        write_json(os.path.join(root, "config.json"), CONFIG)
        tap.true("exists already" in run(weights, spec)[2], "a file that exists is no error")
        tap.true(not os.path.exists(spec), "a spec was written")


def used():
    """The spec of a chain that runs is not made another chain's"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root:
        weights, spec = os.path.join(root, "w.safetensors"), os.path.join(root, "ward.json")
        write_safetensors(weights, make_tensors(SIZES))
        write_json(os.path.join(root, "config.json"), CONFIG)
        own = {"name": "ward", "genesis_time": 1795219201, **SIZES}
        write_json(spec, own)
        with start(spec, "ward") as node:
            for path in spec, os.path.join(root, "other.json"):
                if path != spec:
                    write_json(path, {"name": "ward"})
                status, made, error = run(weights, path, node.datadir)
                tap.equal((status, made), (1, None), f"status, and what was made: {error}")
                tap.true(f"{node.chaindir} has a chain of the spec's name" in error, error)
            tap.equal(read_json(spec), own, "the spec")
            tap.true(not os.path.exists(os.path.join(root, "ward.safetensors")), "weights were written")
            node.restart()
        tap.equal(run(weights, spec)[0], 0, "status elsewhere")


def foreign_gguf():
    """The keys of a GGUF file must not speak of another model than ours"""
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root, Node() as node:
        path = os.path.join(root, "model.gguf")
        node.rpc.exportmodel(path, "gguf")
        with open(path, "rb") as file:
            data = file.read()
        for key, value, why in (("llama.attention.layer_norm_rms_epsilon", struct.pack("<f", 1e-6), "epsilon of 1e-06"),
                                ("llama.rope.freq_base", struct.pack("<f", 5e5), "rotary embedding is 500000"),
                                ("llama.vocab_size", struct.pack("<I", 300), "vocabulary has 300"),
                                ("llama.attention.head_count_kv", struct.pack("<I", 1), "2 heads and 1 of keys"),
                                ("llama.feed_forward_length", struct.pack("<I", 64), "blk.0.ffn_gate.weight has another shape"),
                                ("llama.block_count", struct.pack("<I", 1), "blk.1.attn_norm.weight is not part")):
            at = data.index(key.encode()) + len(key) + 4
            with open(path, "wb") as file:
                file.write(data[:at] + value + data[at + 4:])
            status, _, error = run(path, os.path.join(root, "new.json"))
            tap.true(status == 1 and why in error, f"'{why}' is not in '{error}'")


def progress():
    """Files of some size show how far they are: importing on standard error, exporting in the log"""
    sizes = {"d": 256, "layers": 2, "heads": 4, "ff": 1024, "ctx": 32}
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as root:
        spec = os.path.join(root, "big.json")
        write_json(spec, {"name": "large", **sizes})
        with Node("-chainspec=" + spec, chain="large") as node:
            node.rpc.exportmodel(os.path.join(root, "model"))
            lines = re.findall(r"Exporting the model to \S*/model: (\d+) %", node.log())
            tap.equal([int(x) // 10 for x in lines], list(range(1, 11)), "tenths in the log")
        status, _, error = run(os.path.join(root, "model"), os.path.join(root, "again.json"))
        tap.equal(status, 0, f"status, with {error}")
        tap.equal([int(x) // 10 for x in re.findall(r"Writing \S*again.safetensors: (\d+) %", error)], list(range(1, 11)),
                  "tenths on standard error")


tap.main(from_elsewhere, completed, rounded, another_file, refused, used, foreign_gguf, progress)
