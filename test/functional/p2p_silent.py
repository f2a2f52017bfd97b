#!/usr/bin/env python3
"""Peers that shake hands, announce what there is, and never answer: each costs a moment, not a minute."""

import contextlib

from framework import messages, tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer

BLOCKS = 40
SILENT = 10
SOON = 40  # seconds; one silent peer after the other for a minute would be far more


def headers_of(node):
    return [messages.Header.parse(bytes.fromhex(node.rpc.getblockheader(node.rpc.getblockhash(height), False)))
            for height in range(1, node.height() + 1)]


@contextlib.contextmanager
def silent_peers(node, count):
    """Of different addresses, as they would be."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Peer(node, source=f"127.0.1.{number}")) for number in range(1, count + 1)]


def blocks():
    """A node catches up among ten peers that announce all blocks and send none"""
    with Node() as honest, Node() as late:
        honest.generate(BLOCKS)
        announcement = messages.headers_payload(*headers_of(honest))
        with silent_peers(late, SILENT) as peers:
            for peer in peers:
                peer.send("headers", announcement)
            wait_until(lambda: sum(len(peer["inflight"]) for peer in late.rpc.getpeerinfo()) == BLOCKS,
                       "all blocks are asked of silent peers")
            late.connect(honest)
            wait_for_same_tip(honest, late, seconds=SOON)
            tap.equal([peer for peer in peers if peer.closed], [], "silent peers that are punished")


tap.main(blocks)
