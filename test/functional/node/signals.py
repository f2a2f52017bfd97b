#!/usr/bin/env python3
"""A signal to end is heard while the node starts: during the replay of the model, -loadblock and -reindex; nothing is lost."""

import os
import re
import signal
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.heavy import BLOCKS as HEAVY_BLOCKS, heavy_node
from framework.node import PATIENCE, Node, wait_until

BLOCKS = 100


def new_log(node, since):
    return node.log()[since:]


def end_when(node, condition, what):
    """Sends the signal the moment the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        tap.true(time.monotonic() < end and node.is_running(), f"never came: {what}")
        time.sleep(0.002)
    node.process.send_signal(signal.SIGTERM)
    tap.equal(node.wait_for_exit(), 0, f"status when ended {what}")


def during_replay():
    """SIGTERM while the model is replayed"""
    node, tip, root = heavy_node()
    with node:
        since = len(node.log())
        node.launch()
        end_when(node, lambda: "Replaying the model" in new_log(node, since), "during the replay")
        tap.true(f"at block {HEAVY_BLOCKS}" not in new_log(node, since), "the whole replay was waited for")
        tap.true("Error" not in new_log(node, since) and "Warning" not in new_log(node, since),
                 f"an end that was asked for is no trouble:\n{new_log(node, since)}")
        node.start()
        tap.equal((node.tip(), node.model_root()), (tip, root), "tip and model root after another start")


def during_import():
    """SIGTERM while -loadblock waits for verification"""
    with Node() as maker, Node(start=False) as node:
        maker.generate(BLOCKS)
        path = os.path.join(node.root, "blocks")
        maker.export_blocks(path)
        node.launch(f"-loadblock={path}")
        end_when(node, lambda: os.path.exists(os.path.join(node.chaindir, "blocks", "blk00000.dat")),
                 "during the import")
        added = re.search(r"(\d+) new blocks in", node.log())
        tap.true(added and 0 < int(added[1]) < BLOCKS, f"the whole import was waited for: {added}")
        node.start(f"-loadblock={path}")
        wait_until(lambda: node.tip() == maker.tip(), "the other blocks come with another start")


def during_reindex():
    """SIGTERM right after -reindex: what is still to be verified is taken up by the next start"""
    with Node() as node:
        node.generate(BLOCKS // 2)
        tip, root = node.tip(), node.model_root()
        node.stop()
        for _ in range(3):
            since = len(node.log())
            node.launch("-reindex")
            end_when(node, lambda: "reindex:" in new_log(node, since), "during -reindex")
        node.start()
        wait_until(lambda: node.tip() == tip, "the tip is back")
        tap.equal(node.model_root(), root, "model root")


tap.main(during_replay, during_import, during_reindex)
