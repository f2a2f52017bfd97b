#!/usr/bin/env python3
"""Files of a node that are lost or damaged: it says so and names -reindex, which brings everything back; nothing begins anew
in silence. A clock that goes slow meanwhile loses nothing either."""

import glob
import os
import shutil
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError, wait_until
from reference.transactions import address

PAYEE = address("ratl", bytes.fromhex(KEYS[0]))
HEIGHT = 5
EARLY = "-mocktime=1500000000"


def remove(node, *patterns):
    for pattern in patterns:
        found = glob.glob(os.path.join(node.chaindir, pattern))
        tap.true(found, f"there is no {pattern}")
        for path in found:
            (shutil.rmtree if os.path.isdir(path) else os.remove)(path)


def flip(node, pattern, offset):
    """One bit, at an offset from the beginning, or (negative) the end."""
    for path in glob.glob(os.path.join(node.chaindir, pattern)):
        with open(path, "r+b") as file:
            file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))


def last_error(node):
    with open(node.output_path, encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line.startswith("Error: ")]
    return lines[-1] if lines else ""


def check_refusal(node, what):
    """It ends by itself, twice: the first time must not leave anything that the second takes for sound."""
    for _ in range(2):
        node.launch()
        try:
            status = node.wait_for_exit(30)
        except Exception:
            raise AssertionError(f"the node runs on with {what}, at height {node.height()}") from None
        tap.equal(status, 1, f"status with {what}")
        tap.true("-reindex" in last_error(node), f"no remedy is named with {what}: {last_error(node)}")


def check_reindex(node, tip, root):
    node.start("-reindex")
    wait_until(lambda: node.tip() == tip, "the tip is back")
    tap.equal(node.model_root(), root, "model root")
    node.stop()


def made():
    """A stopped node with a few blocks, its tip and its model root."""
    node = Node()
    node.generate(HEIGHT)
    tip, root = node.tip(), node.model_root()
    node.stop()
    return node, tip, root


def lost():
    """Block files without index, index without block files: refused, not begun anew"""
    node, tip, root = made()
    with node:
        for what in (["chainstate"], ["chainstate/CURRENT"], ["chainstate/MANIFEST*"], ["blocks/rev*"]):
            remove(node, *what)
            check_refusal(node, f"lost {what}")
            check_reindex(node, tip, root)
        remove(node, "blocks/blk*")
        check_refusal(node, "lost block files")


def damaged_index():
    """A flipped bit in the database's files"""
    node, tip, root = made()
    with node:
        for pattern, offset in (("chainstate/CURRENT", 3), ("chainstate/MANIFEST*", 12), ("chainstate/*.log", 100)):
            flip(node, pattern, offset)
            check_refusal(node, f"a flipped bit in {pattern}")
            check_reindex(node, tip, root)


def lost_writes():
    """An index that opens and lacks its end, being an older copy, or its log cut short or gone: no block is lost for it"""
    with Node() as node:
        index, older, whole = (os.path.join(where, "chainstate") for where in (node.chaindir, node.root, node.datadir))
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(HEIGHT, node.rpc.getnewaddress())
        shutil.copytree(index, older)
        node.rpc.generatetoaddress(HEIGHT, node.rpc.getnewaddress())
        tip, root, balances = node.tip(), node.model_root(), node.rpc.getbalances()
        node.kill()
        shutil.copytree(index, whole)
        for name, source, keep in (("an older copy", older, 1), ("half a log", whole, 0.5), ("no log", whole, 0)):
            shutil.rmtree(index)
            shutil.copytree(source, index)
            for log in glob.glob(os.path.join(index, "*.log")):
                os.truncate(log, int(keep * os.path.getsize(log)))
            node.start()
            wait_until(lambda: node.tip() == tip, f"the tip is back after {name}", 30)
            tap.equal(node.model_root(), root, "model root")
            wait_until(lambda: node.rpc.getbalances() == balances, f"the wallet is as it was after {name}", 30)
            tap.true("are not in the index" in node.log(), f"nothing is said of {name}")
            node.kill()
        node.start()
        node.generate(1)
        tap.true(node.rpc.auditchain(2 * HEIGHT + 1)["valid"], "audit")


def damaged_blocks():
    """A flipped bit in the block files, met at the start, by a call, and by a reorganisation"""
    node, tip, root = made()
    with node:
        flip(node, "blocks/blk00000.dat", -20)  # the body of the last block
        remove(node, "model/*")
        check_refusal(node, "a flipped bit in a body, and no snapshot")
        check_reindex(node, tip, root)
        flip(node, "blocks/rev00000.dat", -20)
        flip(node, "blocks/blk00000.dat", 100)  # the first block
        node.start()
        with tap.raises(-1, "-reindex"):
            node.rpc.getblock(node.rpc.getblockhash(1), 0)
        try:
            node.rpc.invalidateblock(tip)
        except (RpcError, OSError):
            pass
        tap.equal(node.wait_for_exit(), 1, "status after a reorganisation over damage")
        tap.true("-reindex" in last_error(node), f"no remedy is named: {last_error(node)}")


def slow_clock():
    """-reindex, and the start after it, with a clock for which every block is too new"""
    node, tip, root = made()
    with node:
        for options in (("-reindex", EARLY), (EARLY,)):
            node.start(*options)
            wait_until(lambda: node.tip() == tip, f"the tip is there with {options}", 30)
            tap.equal(node.model_root(), root, "model root")
            tap.true("left out" not in node.log(), "a block was left out")
            node.stop()
        node.start()
        tap.equal(node.tip(), tip, "tip when the clock is right again")
        node.rpc.generatetoaddress(1, PAYEE)


def slow_clock_import():
    """-loadblock with such a clock: the file is read again when the clock is right, in the same run"""
    with Node() as maker, Node(start=False) as node:
        maker.generate(HEIGHT)
        path = os.path.join(node.root, "blocks")
        maker.export_blocks(path)
        node.start(EARLY, f"-loadblock={path}")
        node.wait_for_log("time-too-new")
        tap.equal(node.height(), 0, "height while all blocks are too new")
        node.rpc.setmocktime(0)
        wait_until(lambda: node.tip() == maker.tip(), "the blocks are taken", 30)


tap.main(lost, damaged_index, lost_writes, damaged_blocks, slow_clock, slow_clock_import)
