#!/usr/bin/env python3
"""A launch with hundreds of times the power that a chain expects: three miners, and a block every few hundredths of a
second where one in 20 seconds is meant."""

import os
import subprocess
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, PATIENCE, Node, wait_for_same_tip, wait_until
from reference import pace
from reference.document import SOURCE
from reference.hashing import shown
from reference.headers import Header
from reference.transactions import address

SPACING, DEEPEST = 20, 10
SPEC = {"name": "launch", "hrp": "lau", "spacing": SPACING, "start_bits": 0x20040000, "k": 2, "slots": 1, "d": 16, "layers": 1, "heads": 1, "ff": 16,
        "ctx": 32, "batch": 1, "iterations": 4, "bench_rows": 1, "bench_bytes": 2048}
AHEAD = 60 + SPACING // 2  # the future limit
BEYOND = 4  # blocks after the first that was not due at once


class Rules:
    """What of a spec the pace needs."""

    def __init__(self, spec):
        self.spacing, self.k, self.genesis_time = spec["spacing"], spec["k"], spec["genesis_time"]


def launched_node(genesis_time, number, connect=()):
    node = Node("-debug=miner", connect=connect, chain="launch", start=False)
    node.use_spec({**SPEC, "genesis_time": genesis_time})
    node.start()
    node.payee = address("lau", bytes.fromhex(KEYS[number]))
    return node


def headers_of(node):
    ids = [node.rpc.getblockhash(height) for height in range(node.height() + 1)]
    headers = [Header.parse(bytes.fromhex(node.rpc.getblockheader(block_id, False))) for block_id in ids]
    tap.equal([shown(header.id()) for header in headers], ids, "ids")
    return headers


def check_pace(spec, headers):
    """No block is dated earlier than the pace allows, and the chain as a whole keeps it."""
    for height in range(1, len(headers)):
        base = headers[max(0, height - pace.BACK)].time
        tap.true(headers[height].time >= pace.least_time(spec, height, base), f"the time of block {height}")
    tap.true(len(headers) - 1 <= 4 * (headers[-1].time - spec.genesis_time) / SPACING + pace.BACK,
             "more than four blocks a spacing")


def deepest_reorganisation(node):
    """Most blocks taken back in a row."""
    deepest = in_a_row = 0
    for line in node.log().splitlines():
        if "is taken back" in line:
            in_a_row += 1
            deepest = max(deepest, in_a_row)
        elif ": loss " in line:
            in_a_row = 0
    return deepest


def three_miners():
    """Blocks come at the pace, are kept until they are due, and three nodes stay on one chain"""
    genesis_time = int(time.time())
    with launched_node(genesis_time, 0) as a, launched_node(genesis_time, 1, [a]) as b, \
            launched_node(genesis_time, 2, [a, b]) as c:
        nodes, spec = (a, b, c), Rules(a.rpc.getchainspec())
        wait_until(lambda: all(len(node.rpc.getpeerinfo()) == 2 for node in nodes), "all are connected")
        for node in nodes:
            node.rpc.setmining(True, 1, node.payee)
        wait_until(lambda: any("kept until it is due" in node.log() for node in nodes), "a block comes before its time")
        reached = a.height()
        wait_until(lambda: a.height() >= reached + BEYOND, "the chain goes on as time does")
        for node in nodes:
            node.rpc.setmining(False)
        wait_for_same_tip(*nodes)
        headers = headers_of(a)
        check_pace(spec, headers)
        tap.true(headers[-1].time <= time.time() + AHEAD + 1, "the tip is too far ahead")
        depths = [deepest_reorganisation(node) for node in nodes]
        tap.true(max(depths) <= DEEPEST, f"reorganisations of {depths} blocks")
        stale = sum(tip["branchlen"] for tip in a.rpc.getchaintips() if tip["status"] != "active")
        print(f"# {len(headers) - 1} blocks, {stale} stale, deepest reorganisations {depths}")
        tap.equal([node.rpc.getblockchaininfo()["warnings"] for node in nodes], [[], [], []], "warnings")


def arguments():
    """contrib/launch says what it cannot do before it starts anything"""
    for given in (["--miners", "0"], ["--miners", "4"], ["--minutes", "0"], ["--minutes", "nan"], ["--power", "0"]):
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "contrib", "launch"), "--minutes", "0.001", *given],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        tap.true(done.returncode == 2 and "--miners 1 to 3" in done.stderr, f"{given}: status {done.returncode}, {done.stderr[-300:]}")


tap.main(three_miners, arguments)
