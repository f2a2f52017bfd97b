#!/usr/bin/env python3
"""What an operator reads in the log while all is well: a line a block, a line while nothing happens, progress while blocks
are fetched or read again."""

import re
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.transactions import address

PAYEE = address("ratl", bytes.fromhex(KEYS[0]))
BLOCKS = 60
MOST = 200  # blocks until some data is paid
LINE = re.compile(r"Z block (\d+) ([0-9a-f]{64}): loss (\d+\.\d{6})( \(its update is void\))?, (\d+) proofs?, datasets((?: \d+)+), "
                  r"paid (\d+\.\d{8}) to miners and (\d+\.\d{8}) to data(?:, (\d+\.\d) s)?$", re.MULTILINE)


def check_line(node, line):
    """Against what RPC tells of the block."""
    height, id_text, loss, void, proofs, datasets, miners, data, _ = line
    block = node.rpc.getblock(id_text)
    tap.equal(int(height), block["height"], "height")
    tap.equal(bool(void), block["outcome"]["void"], f"block {height}: void")
    shown = block["loss_before"] if void else block["loss_after"]
    tap.equal(float(loss), float(shown), f"block {height}: loss")
    tap.equal(int(proofs), len(block["proofs"]), f"block {height}: proofs")
    tap.equal([int(number) for number in datasets.split()],
              [slot["dataset"] for slot in block["outcome"]["slots"] if slot["proofs"]], f"block {height}: datasets")
    tap.equal(float(miners), float(sum(proof["reward"] for proof in block["proofs"])), f"block {height}: paid to miners")
    tap.equal(float(data), float(sum(one["amount"] for one in block["data_payments"])), f"block {height}: paid to data")


def a_line_a_block():
    """Each block that is connected has its line, and one that is taken back too"""
    with Node() as node:
        ids = node.generate(8)
        lines = LINE.findall(node.log())
        tap.equal([line[1] for line in lines], ids, "blocks in the log")
        for line in lines:
            check_line(node, line)
        tap.true(any(line[8] for line in lines), "no line says what the verification took")
        node.rpc.invalidateblock(ids[-1])
        tap.true(f"block 8 {ids[-1]} is taken back: it was refused" in node.log(), "the log does not tell of a block that went")


def data_paid():
    """What goes to the owners of data is in the line"""
    with Node() as node:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(12, node.rpc.getnewaddress())
        node.contribute("", "CC0-1.0", "a piece", None, prose(1, 40000).hex())
        for _ in range(MOST):
            node.generate(1)
            line = LINE.findall(node.log())[-1]
            check_line(node, line)
            if float(line[7]) > 0:
                return
        raise AssertionError(f"no data was paid in {MOST} blocks")


def idle():
    """While nothing happens the log says how the node stands"""
    with Node() as other, Node("-statusinterval=1", connect=[other]) as node:
        node.wait_for_log("height 0, 1 peer, 0 transactions and 0 proofs wait, not mining")
        node.rpc.setmocktime(1)  # mining pauses: the chain is ahead
        node.rpc.setmining(True, 1, PAYEE)
        node.wait_for_log("mining pauses: the chain's time is ahead")
        tap.true("transactions and" not in other.log(), "a line without -statusinterval, long before a minute is over")


def catching_up():
    """A sync, and a -reindex, tell how far they are and not of each block"""
    with Node() as maker, Node(connect=[maker]) as node:
        node.rpc.setnetworkactive(False)
        maker.generate(BLOCKS)
        node.rpc.setnetworkactive(True)
        wait_for_same_tip(maker, node)
        check_progress(node, 0)
        since = len(node.log())
        node.restart("-reindex")
        wait_until(lambda: node.height() == BLOCKS, "the reindex is over")
        check_progress(node, since)


def check_progress(node, since):
    log = node.log()[since:]
    progress = [int(height) for height in re.findall(rf"syncing: block (\d+) of {BLOCKS} \(\d+ %\)", log)]
    tap.true(progress and progress == sorted(progress), f"progress: {progress}")
    lines = LINE.findall(log)
    tap.true(lines and lines[-1][1] == node.tip(), "the tip has no line")
    tap.true(len(lines) < BLOCKS // 4, f"{len(lines)} lines for {BLOCKS} blocks")


tap.main(a_line_a_block, data_paid, idle, catching_up)
