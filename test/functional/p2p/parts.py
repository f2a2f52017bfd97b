#!/usr/bin/env python3
"""Blobs of several parts: all of one peer, who may stop, lie or leave; the node's memory and files stay in bounds."""

import contextlib
import os
import random
import socket
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer, magic_of
from framework.rounds import SPEC, P, new_node, play_round, with_wallet
from reference import messages

DATA = random.Random(1).randbytes(5 * messages.PART_SIZE + 1234)
PARTS = 6
# Of 1,443,072 parameters: a run of one segment discloses three parts, and contributed data may have 32768 bytes.
LARGE = {**SPEC, "name": "large", "d": 256, "heads": 4, "ff": 512, "segments": 1, "segment": 1, "blob_max": 32768}
DISCLOSED = 32 + 2 * 65 * (1443072 // 64)
READERS = 20
UNREAD = 48 << 20  # bytes of memory for all of them: much less than a blob each


@contextlib.contextmanager
def contribution():
    """(owner, other, transaction, root): a node with a contribution, and one that only has the block of its commitment."""
    with Node() as owner, Node() as other:
        owner.rpc.createwallet("w")
        owner.rpc.generatetoaddress(2, owner.rpc.wallet("w").getnewaddress())
        owner.generate(12, key=2)
        other.connect(owner)
        wait_for_same_tip(owner, other)
        owner.rpc.setnetworkactive(False)
        other.disconnect(owner)
        path = os.path.join(owner.datadir, "data")
        with open(path, "wb") as file:
            file.write(DATA)
        result = owner.contribute(wallet="w", file=path, licence="CC0-1.0", title="large")
        other.rpc.submitblock(owner.rpc.getblock(owner.tip(), 0))
        wait_for_same_tip(owner, other)
        owner.rpc.setnetworkactive(True)
        yield owner, other, bytes.fromhex(owner.rpc.getrawtransaction(result["txid"])), bytes.fromhex(result["root"])


def has_blob(node, root):
    return os.path.exists(os.path.join(node.chaindir, "blobs", root.hex()))


def drafts(node):
    return [name for name in os.listdir(os.path.join(node.chaindir, "blobs")) if name.endswith(".part")]


def send_parts(peer, root, count):
    """So many, each when it is asked for."""
    for number in range(count):
        asked = messages.getpart_payload(root, len(DATA), number * messages.PART_SIZE)
        peer.wait_for("getpart", lambda payload: payload == asked)
        peer.send("part", messages.part_payload(asked, DATA))
    peer.sync()


def travels():
    """A large blob goes from file to file, also after a restart, when the whole is looked at first; RPC gives it in pieces"""
    with contribution() as (owner, other, _, root):
        owner.restart()
        other.connect(owner)
        wait_until(lambda: has_blob(other, root), "the bytes are here")
        tap.equal(drafts(other), [], "files of bytes that come in")
        tap.equal(bytes.fromhex(other.rpc.getblob(root.hex())), DATA, "all bytes")
        tap.equal(bytes.fromhex(other.rpc.getblob(root.hex(), messages.PART_SIZE - 1, 2)),
                  DATA[messages.PART_SIZE - 1:messages.PART_SIZE + 1], "a piece of them")


def stops_in_the_middle():
    """Who leaves, is silent or sends other parts than were asked for after some parts costs the node these, and nothing else"""
    with contribution() as (owner, other, transaction, root):
        with Peer(other, source="127.0.0.2") as leaver:
            leaver.send("tx", transaction)
            send_parts(leaver, root, 3)
            tap.equal(len(drafts(other)), 1, "files of bytes that come in")
        wait_until(lambda: drafts(other) == [], "the bytes go with who sent them")
        with Peer(other, source="127.0.0.3") as confused:
            send_parts(confused, root, 2)
            for number in (0, 4, 5, 1, 0):  # none is the next one; of most nobody has asked for
                asked = messages.getpart_payload(root, len(DATA), number * messages.PART_SIZE)
                confused.send("part", messages.part_payload(asked, DATA))
            confused.sync()
            tap.true(not confused.closed, "late parts are no crime")
            other.connect(owner)
            wait_until(lambda: has_blob(other, root), "the bytes come from the owner")
            wait_until(lambda: drafts(other) == [], "nothing else is left")


def lies_at_the_end():
    """Who sends a whole blob that is not the root's is discouraged, though all but one byte is right"""
    with contribution() as (owner, other, transaction, root):
        with Peer(other, source="127.0.0.2") as liar:
            liar.give(root, DATA[:-1] + bytes([DATA[-1] ^ 1]))
            liar.send("tx", transaction)
            liar.wait_for_close()
        other.wait_for_log("bad-blob-root")
        tap.equal((has_blob(other, root), drafts(other)), (False, []), "what is left of it")
        with Peer(other, source="127.0.0.2", handshake=False) as again:
            again.wait_for_close()
        with Peer(other, source="127.0.0.3") as short:  # half a part is no part
            asked = short.is_asked_for_blob(root)
            short.send("part", asked + DATA[:1000])
            short.wait_for_close()
        other.connect(owner)
        wait_until(lambda: has_blob(other, root), "the bytes come from the owner")


def killed():
    """kill -9 in the middle of a blob leaves no half of it, and the rest is asked for anew"""
    with contribution() as (owner, other, _, root):
        owner.generate(1)
        with Peer(other) as peer:
            peer.send("block", bytes.fromhex(owner.rpc.getblock(owner.tip(), 0)))
            send_parts(peer, root, 3)
            other.kill()
        tap.equal((has_blob(other, root), len(drafts(other))), (False, 1), "what the kill has left")
        other.start()
        tap.equal(drafts(other), [], "what is left of it")
        with Peer(other) as peer:
            peer.give(root, DATA)
            wait_for_same_tip(owner, other)
        tap.equal(bytes.fromhex(other.rpc.getblob(root.hex())), DATA, "the bytes")


def memory_of(node):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))


def nobody_reads():
    """Twenty peers that ask for all of a large blob and read nothing have next to nothing of it held for them"""
    with contribution() as (owner, _, _, root), contextlib.ExitStack() as stack:
        magic = magic_of(owner)
        asked = b"".join(messages.frame(magic, "getpart", messages.getpart_payload(root, len(DATA), number % PARTS << 20))
                         for number in range(100))
        before = memory_of(owner)
        for number in range(READERS):
            stranger = stack.enter_context(socket.socket())
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stranger.bind((f"127.0.1.{number + 1}", 0))
            stranger.connect(("127.0.0.1", owner.port))
            stranger.sendall(messages.frame(magic, "version", messages.version_payload(time=int(time.time()))) +
                             messages.frame(magic, "verack") + asked)
        wait_until(lambda: sum(peer["bytessent"] > messages.PART_SIZE for peer in owner.rpc.getpeerinfo()) == READERS,
                   "each is being sent a part")
        owner.rpc.getblockcount()
        tap.true(memory_of(owner) - before < UNREAD, f"{memory_of(owner) - before} bytes more")
        with Peer(owner) as reader:  # and others are served meanwhile
            wanted = messages.getpart_payload(root, len(DATA), (PARTS - 1) * messages.PART_SIZE)
            reader.send("getpart", wanted)
            tap.equal(reader.wait_for("part"), wanted + DATA[-1234:], "the last part")


def disclosures():
    """What runs disclose travels in parts, however small contributed data have to be, to who hears of it and who comes late"""
    with with_wallet(spec=LARGE) as miner, new_node(spec=LARGE) as other:
        other.connect(miner)
        play_round(miner, P)
        wait_for_same_tip(miner, other)
        sizes = {os.path.getsize(os.path.join(other.chaindir, "blobs", name))
                 for name in os.listdir(os.path.join(other.chaindir, "blobs"))}
        tap.equal(sizes, {DISCLOSED}, "sizes of blobs")
        tap.true(not {seat["state"] for seat in other.rpc.getround(P)["seats"]} - {"merged", "left out"}, "all runs are true")
    
        with new_node(spec=LARGE) as late:
            late.connect(other)
            wait_for_same_tip(other, late)
            tap.equal(late.model_root(), miner.model_root(), "the model of who comes late")


tap.main(travels, stops_in_the_middle, lies_at_the_end, killed, nobody_reads, disclosures)
