#!/usr/bin/env python3
"""Blocks that come before a node's clock takes them: looked at again when they are due, though nobody says them twice."""

import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until

FUTURE_LIMIT = 7200  # of regtest


def due_later():
    """A node whose clock is behind takes a block when it is due, from the peer that had sent its header"""
    now = int(time.time())
    with Node(f"-mocktime={now}") as behind, Node(f"-mocktime={now}", connect=[behind]) as ahead:
        ahead.generate(12)
        wait_for_same_tip(behind, ahead)
        tip = behind.tip()
        ahead.rpc.setmocktime(now + FUTURE_LIMIT + 1000)
        ahead.generate(1)
        wait_until(lambda: "time-too-new" in behind.log(), "the header is refused for now")
        tap.equal(behind.tip(), tip, "tip before the block is due")
        behind.rpc.setmocktime(now + 999)
        time.sleep(2)  # several turns of the network
        tap.equal(behind.tip(), tip, "tip a second before the block is due")
        behind.rpc.setmocktime(now + 1000)
        wait_for_same_tip(behind, ahead)
        tap.equal(len(behind.rpc.getpeerinfo()), 1, "the peer is still there")


tap.main(due_later)
