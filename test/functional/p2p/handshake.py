#!/usr/bin/env python3
"""What a node does with connections and messages that are not as they should be: it says why, and goes on."""

import random
import struct
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_until
from framework.p2p import Peer
from reference import messages
from reference.hashing import Reader, compact, shown, stored
from reference.headers import Block


def check_alive(node):
    with Peer(node) as peer:
        peer.sync()
    tap.equal(node.height(), 0, "height")


def check_cut(node, raw, reason, handshake=True):
    """The node ends the connection after these bytes, and its log tells why."""
    known = node.log().count(reason)
    with Peer(node, handshake) as peer:
        peer.send_raw(raw)
        peer.wait_for_close()
    wait_until(lambda: node.log().count(reason) > known, f"the log says '{reason}'")


def handshake():
    """A handshake, what the node says first, and ping"""
    with Node() as node, Peer(node, handshake=False) as peer:
        peer.handshake(agent=b"/funny\n\xff/", height=7)
        version = Reader(peer.wait_for("version"))
        tap.equal(version.unpack("I"), messages.PROTOCOL, "protocol version")
        version.bytes(8 + 8 + 52 + 8)
        tap.true(version.text().startswith(b"/atelier:"), "the agent names itself")
        peer.wait_for("sendheaders")
        locator = peer.wait_for("getheaders")
        tap.equal(shown(locator[5:37]), node.rpc.getblockhash(0), "the locator's first id")
        info = node.rpc.getpeerinfo()
        tap.equal([(one["subver"], one["startingheight"], one["inbound"]) for one in info], [("/funny??/", 7, True)],
                  "what getpeerinfo shows")
        tap.equal(node.rpc.getconnectioncount(), 1, "connections")
        peer.close()
        wait_until(lambda: node.rpc.getconnectioncount() == 0, "the node notices that the peer has left")


def bad_frames():
    """Wrong magic, checksum, command and length end the connection, with the reason in the log"""
    with Node() as node:
        magic = stored(node.rpc.getblockhash(0))[:4]
        good = messages.frame(magic, "ping", b"12345678")
        check_cut(node, b"\xfa\xbf\xb5\xda" + good[4:], "wrong network magic", handshake=False)
        check_cut(node, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "wrong network magic", handshake=False)
        check_cut(node, good[:-1] + b"9", "wrong checksum of a ping message")
        check_cut(node, good[:4] + b"pi\x00ng".ljust(12, b"\x00") + good[16:], "malformed command")
        check_cut(node, magic + b"ping".ljust(12, b"\x00") + struct.pack("<II", 9, 0), "oversized message")
        check_cut(node, magic + b"unheard".ljust(12, b"\x00") + struct.pack("<II", messages.MESSAGE_MAX + 1, 0),
                  "oversized message")
        check_cut(node, magic + b"headers".ljust(12, b"\x00") + struct.pack("<II", 0xffffffff, 0), "oversized message")
        check_alive(node)


def malformed_payloads():
    """Payloads that are not what their command says end the connection"""
    with Node() as node:
        hostile = compact(0xffffffff)
        cases = [("inv", hostile), ("getdata", hostile), ("notfound", hostile), ("headers", hostile),
                 ("getheaders", struct.pack("<I", 1) + hostile), ("tx", b"\x02\x00\x00\x00\x00\x01" + hostile),
                 ("block", bytes(212) + hostile), ("proof", bytes(211)), ("inv", compact(1) + bytes(35)),
                 ("inv", compact(1) + bytes(37)), ("inv", b""), ("getheaders", b""), ("headers", b"\x01"),
                 ("tx", b""), ("block", b""), ("proof", b"")]
        magic = stored(node.rpc.getblockhash(0))[:4]
        for command, payload in cases:
            check_cut(node, messages.frame(magic, command, payload), f"malformed {command} message")
        check_cut(node, messages.frame(magic, "version", bytes(20)), "malformed version message", handshake=False)
        check_alive(node)


def cut_off():
    """A message that ends too early, with its connection, harms nobody"""
    with Node() as node:
        magic = stored(node.rpc.getblockhash(0))[:4]
        whole = messages.frame(magic, "inv", messages.inventory_payload((messages.INVENTORY_BLOCK, bytes(32))))
        for size in (0, 1, 4, 16, 23, 24, 25, len(whole) - 1):
            with Peer(node) as peer:
                peer.send_raw(whole[:size])
        check_alive(node)


def unknown_command():
    """Commands of later versions are skipped, however large"""
    with Node() as node, Peer(node) as peer:
        peer.send("future")
        peer.send("twelveletter", bytes(3 << 20))
        peer.send("part", bytes(1 << 20))  # known, but nobody asked for it
        peer.sync()
        tap.true(not peer.closed, "the connection stays")


def order():
    """Before the handshake is done nothing else counts; a verack without version ends the connection"""
    with Node() as node:
        genesis = stored(node.rpc.getblockhash(0))
        with Peer(node, handshake=False) as peer:
            peer.send("getheaders", messages.getheaders_payload(genesis))
            peer.send("inv", bytes(1 << 20))
            peer.handshake()
            tap.equal(peer.count("headers"), 0, "answers to what came before the handshake")
            peer.send("version", messages.version_payload(nonce=2))  # once more: ignored
            peer.send("verack")
            peer.sync()
            tap.true(not peer.closed, "the connection stays")
        with Peer(node, handshake=False) as peer:
            peer.send("verack")
            peer.wait_for_close()
        with Peer(node, handshake=False) as peer:
            peer.send("version", messages.version_payload(version=0))
            peer.wait_for_close()
        node.wait_for_log("protocol version 0 is too old")


def itself():
    """A node that is told to connect to itself notices"""
    with Node() as node:
        node.rpc.addnode(node.address, "onetry")
        node.wait_for_log("connected to ourselves")
        wait_until(lambda: node.rpc.getpeerinfo() == [], "both ends are gone")


def requests():
    """getheaders and getdata are answered; what is not there is in notfound"""
    with Node() as node:
        node.generate(3)
        genesis = stored(node.rpc.getblockhash(0))
        ids = [stored(node.rpc.getblockhash(height)) for height in (1, 2, 3)]
        with Peer(node) as peer:
            peer.send("getheaders", messages.getheaders_payload(genesis))
            headers = messages.parse_headers(peer.wait_for("headers", len))
            tap.equal([header.id() for header in headers], ids, "the chain's headers")
            peer.forget()
            peer.send("getheaders", messages.getheaders_payload(ids[0], stop=ids[1]))
            tap.equal([header.id() for header in messages.parse_headers(peer.wait_for("headers"))], [ids[1]],
                      "headers up to the stop")
            wanted = [(messages.INVENTORY_BLOCK, ids[2]), (messages.INVENTORY_BLOCK, ids[0])]
            missing = [(kind, bytes([kind]) * 32) for kind in (1, 2, 3, 4, 77)]
            peer.send("getdata", messages.inventory_payload(*missing, *wanted))
            tap.equal(messages.parse_inventory(peer.wait_for("notfound")), missing, "what was not found")
            blocks = [Block.parse(payload) for command, payload in peer.heard if command == "block"]
            tap.equal([block.header.id() for block in blocks], [ids[2], ids[0]], "the blocks that were sent")
            for block in blocks:
                tap.equal(block.header.tx_root, block.tx_root(), "tx_root")
                tap.equal(block.header.proofs_root, block.proofs_root(), "proofs_root")
                tap.true(block.header.is_block(), "the ticket is under the target")


def garbage():
    """Random payloads under every command neither stop nor crash the node"""
    with Node() as node:
        source = random.Random(20260101)
        commands = ["version", "verack", "ping", "pong", "inv", "getdata", "notfound", "getheaders", "headers",
                    "sendheaders", "block", "tx", "proof", "getpart", "part"]
        for round_number in range(60):
            with Peer(node) as peer:
                for _ in range(8):
                    peer.send(source.choice(commands), source.randbytes(source.choice((0, 1, 8, 37, 212, 213, 500))))
        check_alive(node)


tap.main(handshake, bad_frames, malformed_payloads, cut_off, unknown_command, order, itself, requests, garbage)
