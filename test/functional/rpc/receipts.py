#!/usr/bin/env python3
"""A receipt of a text: anybody with the chain can follow the text, and a false one shows that its signer has lied."""

import os
import stat
import sys
from decimal import Decimal

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip
from reference.hashing import sha256, stored
from reference.signatures import public_key, sign, verifies
from reference.text import Reader, receipt_hash
from reference.spec import built_in

PROMPT = "The \0prompt of a text that is longer than the context"


def write(node, *options):
    found = node.rpc.generatetext(PROMPT, 50, *options)
    return {name: str(x) if isinstance(x, Decimal) else x for name, x in found["receipt"].items()}, found["hex"]


def signed(receipt, secret):
    """The same with another signature."""
    return receipt | {"node_key": public_key(secret).hex(), "signature": sign(secret, receipt_hash(receipt)).hex()}


def what_is_right():
    """Receipts of two nodes are alike but for the key; each finds those of the other right, of an earlier block too"""
    with Node() as one, Node() as two:
        one.generate(3)
        one.connect(two)
        wait_for_same_tip(one, two)
        options = ("0.75", "18446744073709551615", 40, "0.9", True, True)
        (first, text), (second, same) = write(one, *options), write(two, *options)
        tap.equal(text, same, "what both write")
        own = ("node_key", "signature")
        tap.equal({k: v for k, v in first.items() if k not in own}, {k: v for k, v in second.items() if k not in own},
                  "what both receipts say")
        tap.true(first["node_key"] != second["node_key"], "keys are alike")
        tap.true(verifies(bytes.fromhex(first["node_key"]), receipt_hash(first), bytes.fromhex(first["signature"])), "signature")
        tap.equal((first["output_hash"], first["output_bytes"]), (sha256(bytes.fromhex(text)).hex(), 50), "output")
        key_file = os.path.join(one.chaindir, ".node_key")
        tap.equal(stat.S_IMODE(os.stat(key_file).st_mode), 0o600, "mode of the key's file")
        one.generate(3)
        wait_for_same_tip(one, two)
        for node in (one, two):
            for receipt in (first, second):
                tap.equal(node.rpc.verifycompletion(receipt, PROMPT, text),
                          {"valid": True, "fraud": False, "agreed_bytes": 50}, "a right receipt")
        one.restart()
        tap.equal(write(one, *options)[0]["node_key"], first["node_key"], "key after a restart")


def what_is_wrong():
    """What does not fit is named; a signature under what the model does not write is fraud"""
    with Node() as node:
        node.generate(1)
        receipt, text = write(node, 1, 7, 0, 1, True, True)
        other = text[:40] + f"{int(text[40:42], 16) ^ 1:02x}" + text[42:]
        check = node.rpc.verifycompletion
        for changed, prompt, output, says in (
                (receipt, PROMPT, other, "output"), (receipt, PROMPT[:-1], text, "prompt"),
                (receipt | {"height": 0}, PROMPT, text, "signature"), (receipt | {"seed": "8"}, PROMPT, text, "signature"),
                (receipt | {"signature": "00" * 64}, PROMPT, text, "signature"),
                (signed(receipt | {"genesis": "11" * 32}, 1), PROMPT, text, "chain")):
            answer = check(changed, prompt, output)
            tap.equal((answer["valid"], answer["fraud"], says in answer["wrong"]), (False, False, True), f"{says}: {answer}")
        liar = 7
        lie = signed(receipt | {"output_hash": sha256(bytes.fromhex(other)).hex()}, liar)
        tap.equal(check(lie, PROMPT, other), {"valid": False, "wrong": "the model writes another byte", "fraud": True,
                                              "agreed_bytes": 20, "stated": other[40:42], "expected": text[40:42]}, "a lie")
        for lie in ({"seed": "8"}, {"temperature": 0.5}, {"height": 0}, {"model_root": "22" * 32}):
            tap.equal(check(signed(receipt | lie, liar), PROMPT, text)["fraud"], True, f"a lie: {lie}")
        tap.equal(check(signed(receipt | {"top_p": "0.999999", "top_k": 256}, liar), PROMPT, text)["valid"], True,
                  "options that make no difference here")
        with tap.raises(-1, "does not know the block"):
            check(signed(receipt | {"block": "33" * 32}, liar), PROMPT, text)
        for wrong in ({"temperature": 11}, {"temperature": "0.1234567"}, {"top_k": 257}, {"signature": "00"}, {"block": "x"},
                      {"seed": -1}, {"output_bytes": 2 ** 32}):
            with tap.raises(-8, next(iter(wrong))):
                check(receipt | wrong, PROMPT, text)
        with tap.raises(-8, "has no seed"):
            check({k: v for k, v in receipt.items() if k != "seed"}, PROMPT, text)
        with tap.raises(-8, "exact"):
            write(node, 1, 7, 0, 1, False, True)


def second_implementation():
    """What the node signs is what the protocol's second implementation writes from the genesis"""
    with Node() as node:
        receipt, text = write(node, "0.9", 3, 0, "0.95", True, True)
        spec = built_in("regtest")
        written = Reader(spec.model, spec.theta).write(PROMPT.encode(), (900000, 0, 950000, 3), 6)
        tap.equal(text[:12], written.hex(), "the first bytes")
        tap.equal(stored(receipt["genesis"]), spec.genesis().id(), "genesis")
        with open(os.path.join(node.chaindir, ".node_key"), "w", encoding="ascii") as file:
            file.write("no key\n")
        with tap.raises(-1, "64 hexadecimal digits"):
            write(node, 1, 1, 0, 1, True, True)


tap.main(what_is_right, what_is_wrong, second_implementation)
