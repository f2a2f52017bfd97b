#!/usr/bin/env python3
"""What goes wrong around a node shows under `warnings` as long as it lasts, and mining copes with it."""

import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError, free_ports, wait_until
from reference.transactions import address

PAYEE = address("ratl", bytes.fromhex(KEYS[0]))
PEERLESS_SECONDS = 30


def warnings(node):
    """The same list in every call that has one. A warning may begin or end between two calls, but not every time."""
    for _ in range(10):
        lists = [getattr(node.rpc, call)()["warnings"]
                 for call in ("getblockchaininfo", "getnetworkinfo", "getmininginfo")]
        if lists[0] == lists[1] == lists[2]:
            break
    tap.true(lists[0] == lists[1] == lists[2], f"different warnings: {lists}")
    return lists[0]


def warns(node, *texts):
    return any(all(text in warning for text in texts) for warning in warnings(node))


def check_told_once(node, text, over):
    """The log says once that it began, and once that it is over if it is."""
    lines = [line for line in node.log().splitlines() if text in line]
    tap.equal(sum("Warning: " in line for line in lines), 1, f"lines that begin '{text}'")
    tap.equal(sum("No longer so: " in line for line in lines), int(over), f"lines that end '{text}'")


def tip_ahead_of_the_clock():
    """Where the chain's time is ahead of the clock no step is wasted, generatetoaddress says why, and all goes on later"""
    with Node() as node:
        now, later = int(time.time()), int(time.time()) + 100000
        node.rpc.setmocktime(later)
        node.generate(12)
        tap.equal(warnings(node), [], "warnings while the clock is right")
        node.rpc.setmocktime(now)
        attempts = node.rpc.getmininginfo()["attempts"]
        try:
            node.rpc.with_timeout(30).generatetoaddress(3, PAYEE)
            raise AssertionError("a block was made that every clock but the tip's finds too new")
        except RpcError as error:
            tap.true("after 0 blocks" in str(error) and "clock" in str(error), f"the answer: {error}")
        node.rpc.setmining(True, 1, PAYEE)
        wait_until(lambda: "clock" in node.rpc.getmininginfo().get("paused", ""), "mining pauses")
        wait_until(lambda: warns(node, "tip's time", "ahead of this machine's clock"), "the clock warning is there")
        wait_until(lambda: warns(node, "Mining pauses", "clock"), "the mining warning is there")
        tap.equal(node.rpc.getmininginfo()["attempts"], attempts, "attempts that could come to nothing")
        tap.equal(node.height(), 12, "height")
        node.rpc.setmocktime(later)
        wait_until(lambda: node.height() > 12, "mining goes on")
        wait_until(lambda: not warnings(node), "no warning is left")
        node.rpc.setmining(False)
        tap.equal(len(node.generate(1)), 1, "a block on demand")
        check_told_once(node, "The tip's time", over=True)
        check_told_once(node, "Mining pauses", over=True)


def clocks_that_differ():
    """A clock that differs from those of the peers this node chose"""
    now = int(time.time())
    with Node(f"-mocktime={now + 3000}") as ahead, Node(connect=[ahead]) as node:
        wait_until(lambda: warns(node, "clock", "behind those of 1 peer:"), "the node that chose its peer warns")
        tap.equal(warnings(ahead), [], "what a peer that came by itself brings about")
        node.disconnect(ahead)
        wait_until(lambda: not warns(node, "behind those"), "nobody is left to differ from")
        check_told_once(node, "behind those", over=True)


def alone():
    """A node that was told of others and reaches none"""
    with Node() as lonely, Node(f"-addnode=127.0.0.1:{free_ports(1)[0]}") as node:
        wait_until(lambda: warns(node, "no connection"), "the node warns", PEERLESS_SECONDS)
        node.connect(lonely)
        wait_until(lambda: not warnings(node), "the warning is over")
        check_told_once(node, "has no connection", over=True)
        tap.equal(warnings(lonely), [], "warnings of a node that expects nobody")
        tap.true("no connection" not in lonely.log(), "a node that expects nobody had warned")


def mining_alone():
    """A miner of a public chain waits for other nodes"""
    payee = address("tatl", bytes.fromhex(KEYS[0]))
    with Node("-chain=test", "-mine", f"-mineraddress={payee}", "-connect=0", chain="test") as node:
        wait_until(lambda: warns(node, "Mining pauses: no connection to another node (addnode names one; with -minealone none is needed)"), "the node warns")
        node.rpc.setmining(False)
        wait_until(lambda: not warns(node, "Mining pauses"), "nothing pauses where nothing was asked for")


tap.main(tip_ahead_of_the_clock, clocks_that_differ, alone, mining_alone)
