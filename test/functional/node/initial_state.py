#!/usr/bin/env python3
"""A private chain that begins with another chain's exported weights."""

import json
import os
import sys
import tempfile

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip
from reference.files import read_safetensors
from reference.hashing import shown
from reference.llama import theta_of
from reference.state import initial_root

TEXT = b"The model"


class Folder:
    """An exported model in both formats, and specs that begin with it."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="atelier-functional-")
        self.path = self.temporary.name
        with Node() as node:
            node.generate(5)
            node.rpc.exportmodel(os.path.join(self.path, "model"))
            node.rpc.exportmodel(os.path.join(self.path, "model.gguf"), "gguf")
            self.logits = node.rpc.getlogits(TEXT.hex())["logits"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def spec(self, name, **fields):
        path = os.path.join(self.path, name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"name": name, **fields}, file)
        return "-chainspec=" + path

    def node(self, name, initial_state, start=True, **fields):
        return Node(self.spec(name, initial_state=initial_state, **fields), chain=name, start=start)


def genesis_root(node):
    return node.rpc.getblockheader(node.rpc.getblockhash(0))["model_root"]


def imported():
    """Genesis commits to the file's weights with a momentum of zero, whatever the format, and training goes on from there."""
    with Folder() as folder:
        tensors, _ = read_safetensors(os.path.join(folder.path, "model", "model.safetensors"))
        root = shown(initial_root(theta_of(tensors)))
        with folder.node("ward", "model/model.safetensors") as a, folder.node("ward", "model.gguf") as b:
            tap.equal((genesis_root(a), genesis_root(b)), (root, root), "model_root of genesis")
            tap.equal(a.rpc.getblockhash(0), b.rpc.getblockhash(0), "genesis")
            tap.equal(a.rpc.getlogits(TEXT.hex())["logits"], folder.logits, "logits")
            a.generate(3)
            a.connect(b)
            wait_for_same_tip(a, b)
            tap.equal(a.model_root(), b.model_root(), "model_root of the tip")
            tap.true(a.model_root() != root, "nothing was learned")
            a.restart("-reindex")
            wait_for_same_tip(a, b)
            tap.equal(a.model_root(), b.model_root(), "model_root after building everything again")


def refused():
    """A file that does not fit says which tensor and why, and the node does not start."""
    with Folder() as folder:
        for initial_state, fields, why in (
                ("model.gguf", {"d": 64}, "tensor token_embd.weight has another shape than 256 x 64"),
                ("model.gguf", {"layers": 3}, "tensor blk.2.attn_norm.weight is missing"),
                ("model.gguf", {"heads": 1}, "the GGUF file has 2 heads (2 of keys), the model 1"),
                ("model/model.safetensors", {"ff": 64}, "mlp.gate_proj.weight has another shape than 64 x 32"),
                ("model/config.json", {}, "neither a GGUF nor a safetensors file"),
                ("nowhere.gguf", {}, "nowhere.gguf: cannot be opened")):
            node = folder.node("ward", initial_state, start=False, **fields)
            node.launch()
            tap.true(node.wait_for_exit() != 0, f"the node started with {initial_state} {fields}")
            with open(node.output_path, encoding="utf-8") as output:
                text = output.read()
            tap.true(why in text, f"'{why}' is not in '{text}'")
            node.remove()


tap.main(imported, refused)
