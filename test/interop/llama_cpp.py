#!/usr/bin/env python3
"""Exported GGUF files in llama.cpp: it continues a text as the node does. test/interop/install brings llama.cpp."""

import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.dirname(HERE)  # the folder test

from framework import tap
from framework.node import KEYS, PATIENCE, Node, daemon_path
from framework.web import Page
from reference.files import write_safetensors
from reference.llama import make_tensors
from reference.transactions import address

BUILD = os.path.join(os.path.dirname(os.path.abspath(daemon_path())), "test", "interop")
# Blanks at both ends, control characters, letters of several bytes, more than half the context: each byte is a token.
PROMPTS = [" The model ", "\n\tEach block  trains;\r\n é, 語: \"a\"\n", "In 1795 they said: the work is the proof, and the proof is 7!"]
WRITTEN = 32
SPEC = {"name": "interop", "hrp": "iatl", "k": 1, "d": 48, "layers": 2, "heads": 3, "ff": 128, "ctx": 96, "iterations": 16,
        "slots": 1, "bench_rows": 8}


def require_llama_cpp():
    if not os.path.exists(os.path.join(BUILD, "installed")):
        why = "test/interop/install has not been run"
        if os.path.exists(os.path.join(BUILD, "why-not")):
            with open(os.path.join(BUILD, "why-not"), encoding="utf-8") as file:
                why = file.read().strip()
        raise tap.Skip(why)


def llama_cpp(paths):
    """What llama.mjs says of the models and PROMPTS."""
    task = {"modules": os.path.join(BUILD, "node_modules"), "models": paths, "count": WRITTEN,
            "texts": [prompt.encode().hex() for prompt in PROMPTS]}
    done = subprocess.run([shutil.which("node"), os.path.join(HERE, "llama.mjs")], input=json.dumps(task),
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    tap.equal(done.returncode, 0, f"status of node, which says {done.stderr}")
    return json.loads(done.stdout)


def ask(node, prompt):
    """The node's own logits behind the prompt, and what it writes."""
    logits = [float(x) for x in node.rpc.getlogits(prompt.encode().hex(), False)["logits"]]
    return logits, bytes.fromhex(node.rpc.generatetext(prompt, WRITTEN, 0, 0, 0, 1, False)["hex"])


def farthest(found, expected):
    return max(abs(a - b) for a, b in zip(found, expected))


def served(page, prompt):
    """What a client of the node's API gets, the likeliest byte each time: by exact arithmetic, and not as llama.cpp computes."""
    answer = page.post("/v1/completions", {"prompt": prompt, "max_tokens": WRITTEN, "temperature": 0})
    return bytes.fromhex(answer.json()["atelier"]["choices"][0]["hex"])


def check_served(node, prompt, text, found):
    """The same text, as far as exact arithmetic decides: where two bytes are nearer than rounding takes their logits apart, either
    may stand, and what follows is another text."""
    tap.equal(len(found), len(text), f"bytes that follow {prompt!r}")
    at = next((i for i in range(len(text)) if text[i] != found[i]), None)
    if at is None:
        return
    behind = (prompt.encode() + text[:at]).hex()
    plain, exact = ([float(x) for x in node.rpc.getlogits(behind, kind)["logits"]] for kind in (False, True))
    rounding, gap = farthest(exact, plain), plain[text[at]] - plain[found[at]]
    tap.comment(f"the door goes another way after {at} bytes: {gap:.1e} between the logits, {rounding:.1e} of rounding")
    tap.true(0 <= gap <= 2 * rounding, f"two bytes that lie {gap} apart, with {rounding} of rounding")
    tap.true(rounding < (max(plain) - min(plain)) / 5, f"rounding moves logits by {rounding}")


def compare(node, page=None):
    """Exports the node's model in both forms; llama.cpp must agree with the node, and with its API if there is a page."""
    paths = [os.path.join(node.root, name) for name in ("model.gguf", "model-8.gguf")]
    node.rpc.exportmodel(paths[0], "gguf")
    node.rpc.exportmodel(paths[1], "gguf-q8_0")
    whole, eight = llama_cpp(paths)
    context = node.rpc.getmodelinfo()["ctx"]
    tap.equal((whole["context"], eight["context"]), (context, context), "context")
    for prompt, exact, rough in zip(PROMPTS, whole["answers"], eight["answers"]):
        logits, text = ask(node, prompt)
        tap.comment(f"{prompt!r} -> {text!r}")
        tap.equal(exact["tokens"], list(prompt.encode()), "tokens")
        tap.equal(rough["tokens"], list(prompt.encode()), "tokens in 8 bits")
        tap.equal(bytes(exact["bytes"]), text, f"what follows {prompt!r}")
        if page is not None:
            check_served(node, prompt, text, served(page, prompt))
        difference, spread = farthest(exact["logits"], logits), max(logits) - min(logits)
        tap.true(difference < 1e-3, f"logits differ by {difference}")
        tap.equal(len(rough["bytes"]), WRITTEN, "bytes written in 8 bits")
        loss = farthest(rough["logits"], logits)
        tap.comment(f"logits: {difference:.1e} from the node's in 32 bits, {loss:.1e} in 8, of a spread of {spread:.1f}")
        tap.true(difference < loss < spread / 5, f"logits in 8 bits differ by {loss}")


def imported():
    """The same holds for a wild model of another origin, imported, whose text no two programs would share by chance"""
    require_llama_cpp()
    with Node(chain="wild", start=False) as node:
        spec, weights = os.path.join(node.root, "wild.json"), os.path.join(node.root, "weights.safetensors")
        write_safetensors(weights, make_tensors({"d": 96, "layers": 3, "ff": 80}))
        with open(spec, "w", encoding="utf-8") as file:
            json.dump({"name": "wild", "heads": 2, "ctx": 96}, file)
        done = subprocess.run([daemon_path(), "-importmodel=" + weights, "-chainspec=" + spec], capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
        tap.equal(done.returncode, 0, f"status of the import, which says {done.stderr}")
        node.options = ["-chainspec=" + spec]
        node.start()
        compare(node)


def trained():
    """llama.cpp continues three prompts with the 32 bytes that generatetext does, and /v1/ as far as no two bytes tie"""
    require_llama_cpp()
    with Node(chain=SPEC["name"], start=False) as node:
        path = os.path.join(node.root, "spec.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(SPEC, file)
        node.options = ["-chainspec=" + path]
        page = Page(node)
        node.start()
        node.rpc.generatetoaddress(20, address(SPEC["hrp"], bytes.fromhex(KEYS[0])))
        compare(node, page)


tap.main(trained, imported)
