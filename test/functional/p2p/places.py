#!/usr/bin/env python3
"""Nobody takes all places for connections: not one address, nor all of them together what the node itself needs."""

import contextlib
import resource
import socket
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_until
from framework.p2p import Peer

FEW = 64  # descriptors
STRANGERS = 60
FLOOD_PLACES = 40
FLOOD_ADDRESSES = 5


def try_peer(node, source):
    """A peer if the node takes the connection; None if it ends it."""
    peer = Peer(node, handshake=False, source=source)
    try:
        peer.handshake()
        return peer
    except AssertionError:
        peer.close()
        return None


def taken(node, stack, source):
    peer = try_peer(node, source)
    return peer is not None and stack.enter_context(peer)


def flooder(number):
    return f"127.0.3.{1 + number % FLOOD_ADDRESSES}"


def one_address():
    """One address has so many places, and another one still gets in"""
    with Node("-maxinboundperaddress=3") as node, contextlib.ExitStack() as stack:
        first = [taken(node, stack, "127.0.0.2") for _ in range(5)]
        tap.equal([bool(peer) for peer in first], [True] * 3 + [False] * 2, "connections of one address that are taken")
        tap.true(taken(node, stack, "127.0.0.3"), "another address has a place")
        first[0].close()
        wait_until(lambda: node.rpc.getconnectioncount() == 3, "one has left")
        tap.true(taken(node, stack, "127.0.0.2"), "its place is free again")


def default_of_eight():
    """Eight places an address are the default, and what the node connects to does not count"""
    with Node() as node, Node() as other, contextlib.ExitStack() as stack:
        node.connect(other)
        tap.equal(sum(bool(taken(node, stack, "127.0.0.1")) for _ in range(9)), 8, "connections that are taken")


def flooded():
    """Who holds all places, from several addresses, and calls again and again, keeps no honest node out"""
    with Node(f"-maxconnections={FLOOD_PLACES}") as node, Node() as honest, contextlib.ExitStack() as stack:
        node.generate(5)
        for number in range(FLOOD_PLACES):
            tap.true(taken(node, stack, flooder(number)), "a stranger is taken while there are places")
        honest.rpc.addnode(node.address, "add")
        honest.wait_for_height(5)
        place = [peer["id"] for peer in node.rpc.getpeerinfo() if peer["addr"].startswith("127.0.0.1:")]
        again = sum(bool(taken(node, stack, flooder(number))) for number in range(3 * FLOOD_PLACES))
        tap.true(again > 0, "he gets places again, which are those of others of his")
        node.generate(1)
        honest.wait_for_height(6)
        peers = node.rpc.getpeerinfo()
        tap.equal([peer["id"] for peer in peers if peer["addr"].startswith("127.0.0.1:")], place,
                  "the place of the honest node, which it has had all the time")
        tap.equal((len(place), len(peers)), (1, FLOOD_PLACES), "places that are taken, by it and by all")


def few_descriptors():
    """Peers leave the node the descriptors it needs, and one goes for a node that the operator names"""
    node = Node(start=False)
    node.preexec = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))
    node.start()
    with node, contextlib.ExitStack() as stack:
        for number in range(1, STRANGERS + 1):
            taken(node, stack, f"127.0.2.{number}")
        count = node.rpc.getconnectioncount()
        tap.true(0 < count <= FEW // 2, "some have a place, and not all")
        with Node() as named:
            node.rpc.addnode(named.address, "add")
            node.generate(3)
            named.wait_for_height(3)
            tap.equal(node.rpc.getconnectioncount(), count, "connections with the one that was named")
        node.restart()
        tap.equal(node.height(), 3, "height after the restart")


def out_of_descriptors():
    """With none left no log fills, and who waits is taken when there are some again"""
    with Node() as node:
        soft, hard = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (3, hard))
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            node.wait_for_log("cannot be accepted")
            time.sleep(3)  # several attempts
            resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            wait_until(lambda: len(node.rpc.getpeerinfo()) == 3, "all who waited are taken")
        log = node.log()
        tap.equal((log.count("cannot be accepted"), log.count("Connections are accepted again")), (1, 1),
                  "lines in the log")


tap.main(one_address, default_of_eight, flooded, few_descriptors, out_of_descriptors)
