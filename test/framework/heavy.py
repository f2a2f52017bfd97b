"""A node whose start takes a while: the model of its chain is large for the steps that train it, and must be replayed."""

import glob
import json
import os

from framework.node import KEYS, Node
from framework.prose import prose
from reference.transactions import address

SPEC = {"name": "heavy", "hrp": "hvy", "genesis_time": 1795219200, "k": 2, "slots": 1, "d": 192, "layers": 4, "heads": 2,
        "ff": 512, "ctx": 32, "batch": 1, "iterations": 1, "bench_rows": 1, "bench_bytes": 512, "maturity": 3,
        "corpus": "corpus.txt"}
BLOCKS = 25


def heavy_node():
    """(a node that does not run, its tip, its model root)"""
    node = Node(chain="heavy", start=False)
    spec = os.path.join(node.root, "spec.json")
    with open(spec, "w", encoding="utf-8") as file:
        json.dump(SPEC, file)
    with open(os.path.join(node.root, SPEC["corpus"]), "wb") as file:
        file.write(prose("heavy", 4096))
    node.options = [f"-chainspec={spec}"]
    node.start()
    node.rpc.generatetoaddress(BLOCKS, address("hvy", bytes.fromhex(KEYS[0])))
    tip, root = node.tip(), node.model_root()
    node.stop()
    forget_states(node)
    return node, tip, root


def forget_states(node):
    """From here on the next start replays the model."""
    for path in glob.glob(os.path.join(node.chaindir, "model", "*")):
        os.remove(path)
