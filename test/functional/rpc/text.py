#!/usr/bin/env python3
"""What a model writes is any bytes: they pass through JSON, and so do seeds and nonces that no double can hold."""

import json
import os
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, daemon_path

CLI = os.path.join(os.path.dirname(daemon_path()), "atelier-cli")
TRIES = 100
LARGE = 2 ** 64 - 1


def cli(node, *arguments, text=None):
    """What atelier-cli prints for a call, as JSON."""
    done = subprocess.run([CLI, f"-datadir={node.datadir}", "-regtest", f"-rpcport={node.rpc_port}", *arguments],
                          input=text, capture_output=True, timeout=PATIENCE, check=False)
    tap.equal((done.returncode, done.stderr), (0, b""), f"end of atelier-cli {arguments}")
    return json.loads(done.stdout)


def any_bytes():
    """A text with a byte 0 comes out whole, through atelier-cli too"""
    with Node() as node:
        seeds = (seed for seed in range(TRIES) if b"\0" in
                 bytes.fromhex(node.rpc.generatetext("", 200, 1, seed)["hex"]))
        seed = next(seeds, None)
        tap.true(seed is not None, f"no text of {TRIES} has a byte 0")
        found = cli(node, "generatetext", "", "200", "1", str(seed))
        data = bytes.fromhex(found["hex"])
        tap.equal((len(data), found["text"].count("\0")), (200, data.count(0)), "what was written")
        tap.equal([c for c in found["text"] if c < "\x80"], [chr(b) for b in data if b < 128], "what of it is ASCII")


def any_prompt():
    """A prompt may have bytes 0, and counts to its end"""
    with Node() as node:
        node.generate(1)
        prompt = "The \0word\0"
        found = node.rpc.generatetext(prompt, 8, 0)
        tap.equal(found["prompt"], prompt, "prompt")
        logits = node.rpc.getlogits(prompt.encode().hex())["logits"]
        tap.equal(bytes.fromhex(found["hex"])[0], logits.index(max(logits)), "the byte that follows the whole prompt")
        tap.equal(cli(node, "-stdin", "generatetext", text=prompt.encode() + b"\n8\n0\n")["hex"], found["hex"],
                  "the same through atelier-cli")
        with tap.raises(-8, "at most"):
            node.rpc.generatetext("\0" * 65537)
        # Elsewhere a byte 0 would cut a text short.
        for method, *parameters in (("getblock", "00\0"), ("help", "help\0x"), ("addnode", "127.0.0.1\0", "add"),
                                    ("logging", ["net\0x"])):
            status, text = node.post(json.dumps({"method": method, "params": parameters}))
            tap.true(status == 500 and json.loads(text)["error"]["code"] in (-3, -8), f"{method}: {status} {text}")
        status, text = node.post(json.dumps({"method": "getblockcount\0x"}))
        tap.equal((status, json.loads(text)["error"]["code"]), (400, -32600), "a method's name")


def large_numbers():
    """Seeds up to 2^64 - 1, as numbers and as strings; seeds and nonces are answered as strings"""
    with Node() as node:
        for seed in (0, 2 ** 53 + 1, LARGE):
            found = node.rpc.generatetext("a", 20, 1, seed)
            tap.equal((found["seed"], node.rpc.generatetext("a", 20, 1, str(seed))["hex"]), (str(seed), found["hex"]),
                      "a seed as a number and as a string")
            tap.equal(cli(node, "generatetext", "a", "20", "1", str(seed))["hex"], found["hex"], "through atelier-cli")
        drawn = node.rpc.generatetext("a", 20, 1)
        tap.equal(node.rpc.generatetext("a", 20, 1, drawn["seed"])["hex"], drawn["hex"], "a seed that was drawn")
        for wrong in (-1, LARGE + 1, str(LARGE + 1), "1.5", "0x10", " 1", "", 1.5):
            with tap.raises(-8, "seed"):
                node.rpc.generatetext("a", 20, 1, wrong)
        with tap.raises(-3, "seed"):
            node.rpc.generatetext("a", 20, 1, True)
        tap.true("string" in node.rpc.help("generatetext"), "help tells nothing of strings")
        block = node.generate(1)[0]
        raw = bytes.fromhex(node.rpc.getblockheader(block, False))
        for shown in (node.rpc.getblockheader(block), node.rpc.getblock(block)):
            tap.equal(shown["nonce"], str(int.from_bytes(raw[172:180], "little")), "nonce")


tap.main(any_bytes, any_prompt, large_numbers)
