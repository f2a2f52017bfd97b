#!/usr/bin/env python3
"""What costs its sender nothing takes neither the memory nor the log from the node."""

import socket
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_until
from framework.p2p import Peer, magic_of
from reference import messages
from reference.hashing import stored
from reference.headers import Block

STRANGER = "127.0.0.2"
ROUND = 500                 # offers at a time: 590,000 bytes, and as many of answers
ROUNDS = 45                 # 26 MB, less than the backlog that blobs may make
REFUSED = 2000              # headers


def unread_answers():
    """Who offers again and again and reads no answer is dropped before many wait for him"""
    with Node() as node, socket.socket() as stranger:
        magic = magic_of(node)
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stranger.settimeout(60)
        stranger.connect(("127.0.0.1", node.port))
        stranger.sendall(messages.frame(magic, "version", messages.version_payload(time=int(time.time()))) +
                         messages.frame(magic, "verack"))
        proofs = [(messages.INVENTORY_PROOF, bytes([number]) * 32) for number in range(32)]
        offers = messages.frame(magic, "inv", messages.inventory_payload(*proofs)) * ROUND
        wait_until(lambda: [peer["handshake_done"] for peer in node.rpc.getpeerinfo()] == [True], "the handshake is done")
        try:
            for _ in range(ROUNDS):
                stranger.sendall(offers)
            dropped = False
        except ConnectionError:
            dropped = True
        tap.true(dropped, "the node has kept all its answers for one that reads none")
        wait_until(lambda: node.rpc.getconnectioncount() == 0, "nobody is connected")


def lines(node):
    """Those of the log that are written without -debug."""
    return [line for line in node.log().splitlines() if " [net] " not in line]


def refused_headers():
    """Headers that are refused, and connections that come and go, do not fill the log"""
    with Node() as node:
        node.generate(1)
        tip = Block.parse(bytes.fromhex(node.rpc.getblock(node.tip(), 0))).header
        # Right but for its time: what breaks another rule too is a crime now as it is later.
        early = tip.copy(prev=tip.id(), time=tip.time + 10 * 86400, model_root=stored(node.model_root()))
        early = next(one for one in (early.copy(nonce=nonce) for nonce in range(1 << 20)) if one.is_block())
        before = len(lines(node))
        for _ in range(20):
            with Peer(node, source=STRANGER) as peer:
                for _ in range(REFUSED // 20):
                    peer.send("headers", messages.headers_payload(early))
                peer.sync()
                tap.true(not peer.closed, "a header that comes too early is no crime")
        node.wait_for_log("time-too-new")
        added = lines(node)[before:]
        tap.true(len(added) < 10, f"{len(added)} lines: {added[:20]}")


tap.main(unread_answers, refused_headers)
