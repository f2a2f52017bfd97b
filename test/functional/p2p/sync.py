#!/usr/bin/env python3
"""Nodes that start at different times come to the same chain and the same model."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from reference import messages
from reference.hashing import stored
from reference.headers import Header


def same_chain(*nodes):
    wait_for_same_tip(*nodes)
    tap.equal(len({node.model_root() for node in nodes}), 1, "number of different models")


def follow_and_join():
    """A second node follows block by block, a third joins late and executes everything again"""
    with Node() as first, Node(connect=[first]) as second:
        wait_until(lambda: first.rpc.getconnectioncount() == 1, "the nodes are connected")
        for _ in range(4):
            first.generate(1)
            same_chain(first, second)
        second.generate(2)
        same_chain(first, second)
        with Node(connect=[second]) as third:
            same_chain(first, second, third)
            tap.equal(third.height(), 6, "height")
            third.generate(1)
            same_chain(first, second, third)


def answers_meanwhile():
    """RPC is answered while a node catches up"""
    with Node() as first:
        first.generate(40)
        with Node(start=False) as late:
            late.start()
            late.rpc.addnode(first.address, "add")
            heights, patient = [], late.rpc.with_timeout(10)
            while not heights or heights[-1] < 40:
                heights.append(patient.getblockcount())
            tap.equal(heights, sorted(heights), "heights seen while catching up")
            same_chain(first, late)


def restart_and_reconnect():
    """A node that was away while blocks were mined catches up after its restart; so does one whose peer restarts"""
    with Node() as first, Node(connect=[first]) as second:
        first.generate(2)
        same_chain(first, second)
        second.stop()
        first.generate(3)
        second.start()
        same_chain(first, second)
        first.restart()
        first.generate(2)
        same_chain(first, second)
        first.kill()
        first.start()
        tap.equal(first.height(), 7, "height after being killed")
        first.generate(1)
        same_chain(first, second)


def announcements():
    """Blocks are announced by headers to who asked for that, by inventory to others, and only when right"""
    with Node() as node, Peer(node) as plain, Peer(node) as modern:
        modern.send("sendheaders")
        modern.sync()
        node.generate(1)
        tip = stored(node.tip())
        headers = messages.parse_headers(modern.wait_for("headers", lambda payload: len(payload) > 1))
        tap.equal([header.id() for header in headers], [tip], "headers announced")
        items = messages.parse_inventory(plain.wait_for("inv", lambda payload: tip in payload))
        tap.true((messages.INVENTORY_BLOCK, tip) in items, "the block's inventory")


def download_from_several():
    """With two sources both are asked, and one that goes silent does not stop the download"""
    with Node() as first, Node(connect=[first]) as second:
        first.generate(20)
        same_chain(first, second)
        headers = [Header.parse(bytes.fromhex(first.rpc.getblockheader(first.rpc.getblockhash(h), False)))
                   for h in range(1, 21)]
        with Node() as late, Peer(late) as silent:
            silent.send("headers", messages.headers_payload(*headers))
            silent.wait_for("getdata")
            wait_until(lambda: late.rpc.getpeerinfo()[0]["inflight"], "blocks are asked of the silent peer")
            late.connect(first)
            late.connect(second)
            wait_until(lambda: late.rpc.getpeerinfo()[0]["synced_headers"] == 20, "the branch is known")
            silent.close()  # what was asked of it is asked again elsewhere
            same_chain(first, late)


tap.main(follow_and_join, answers_meanwhile, restart_and_reconnect, announcements, download_from_several)
