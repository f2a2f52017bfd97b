#!/usr/bin/env python3
"""A BLAS that begins to multiply wrongly while the node runs: the node finds out over the first proof, blames nobody, says so, goes
on with the reference engine and mines no more by itself.

The daemon runs with test/functional/faulty_blas.c in LD_PRELOAD."""

import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip, wait_until
from reference.transactions import address

LIBRARY = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "test", "functional", "faulty_blas.so")
PAYEE = address("ratl", bytes.fromhex(KEYS[0]))
WORDS = "computes wrongly"


def warnings(node):
    return [text for text in node.rpc.getblockchaininfo()["warnings"] if WORDS in text]


def blame_and_warning():
    """Right blocks are taken and their sender is not blamed; the operator is warned until a restart, and mining pauses"""
    if not os.path.exists(LIBRARY):
        raise tap.Skip("no test/functional/faulty_blas.so")
    with Node() as sound, Node("-engine=openblas", start=False) as faulty:
        control = os.path.join(faulty.root, "faulty")
        faulty.environment = {"LD_PRELOAD": LIBRARY, "FAULTY_BLAS": control}
        faulty.start()
        faulty.connect(sound)
        sound.generate(1)
        wait_for_same_tip(sound, faulty)
        tap.equal(warnings(faulty), [], "warnings before")
        with open(control, "w", encoding="ascii"):
            pass
        sound.generate(2)
        wait_for_same_tip(sound, faulty)
        tap.equal(faulty.model_root(), sound.model_root(), "model roots")
        tap.equal([len(node.rpc.getpeerinfo()) for node in (sound, faulty)], [1, 1], "connections")
        tap.equal(faulty.rpc.listbanned(), [], "banned addresses")
        tap.true(len(warnings(faulty)) == 1 and "openblas" in warnings(faulty)[0], "a warning that names the engine")
        tap.true(WORDS in faulty.log(), "a line in the log")
        faulty.rpc.setmining(True, 1, PAYEE)
        wait_until(lambda: WORDS in faulty.rpc.getmininginfo().get("paused", ""), "mining pauses")
        # What it is asked for it computes with the other engine, and the other node agrees.
        faulty.generate(1)
        wait_for_same_tip(sound, faulty)
        tap.equal(warnings(sound), [], "warnings of the other node")
        os.remove(control)
        faulty.restart()
        tap.equal(warnings(faulty), [], "warnings after a restart")


if __name__ == "__main__":
    tap.main(blame_and_warning)
