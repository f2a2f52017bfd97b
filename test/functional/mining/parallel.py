#!/usr/bin/env python3
"""Steps, verifications, audits, texts and exports at the same time, on all of a node's threads.

Right answers are asked for here; that no thread reads what another writes is what a build with
`configure --with-sanitizers=thread` says while this runs: then a node that found a race ends with a status of its own."""

import json
import os
import subprocess
import sys
import threading
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, PATIENCE, Node, RpcError, daemon_path, wait_for_same_tip, wait_until
from reference.transactions import address

PAYEES = [address("ratl", bytes.fromhex(key)) for key in KEYS]
BLOCKS = 6
BENCH = os.path.join(os.path.dirname(daemon_path()), "atelier-bench")


class Client(threading.Thread):
    """Makes its calls in turn, again and again, until it is told to stop; remembers what it did not expect."""

    def __init__(self, node, *calls):
        super().__init__()
        self.node, self.calls, self.told, self.rounds, self.errors = node, calls, threading.Event(), 0, []
        self.start()

    def run(self):
        while not self.told.is_set():
            for call in self.calls:
                try:
                    call(self.node.rpc.with_timeout(5 * PATIENCE))  # they wait for workers that give way to all others
                except RpcError as error:
                    # What was asked about may just have left the chain.
                    if error.code not in (-1, -5):
                        self.errors.append(str(error))
                except Exception as error:  # shown by end()
                    self.errors.append(repr(error))
                    return
            self.rounds += 1

    def end(self):
        self.told.set()
        self.join()
        tap.equal(self.errors, [], "unexpected answers")
        tap.true(self.rounds > 0, "a client never came to its end")


def mine_with(rpc, threads):
    """Changes the number of threads, and gives them a while to finish something."""
    rpc.setmining(True, threads)
    attempts, end = rpc.getmininginfo()["attempts"], time.monotonic() + 5
    while rpc.getmininginfo()["attempts"] == attempts and time.monotonic() < end:
        time.sleep(0.1)


def parallel():
    """Several threads mine for good, threads come and go, clients ask all there is, and a peer mines too"""
    with Node("-threads=3", "-par=2") as node, Node("-threads=1", "-par=2", connect=[node]) as peer:
        node.rpc.setmining(True, 3, PAYEES[0])
        peer.rpc.setmining(True, 1, PAYEES[1])
        wait_until(lambda: min(node.height(), peer.height()) >= 1, "there is something to ask about")
        path = os.path.join(node.root, "model")
        numbers = iter(range(10 ** 6))
        clients = [
            Client(node, lambda rpc: rpc.getmininginfo(), lambda rpc: rpc.gettraininginfo(),
                   lambda rpc: rpc.getblock(rpc.getbestblockhash()), lambda rpc: rpc.getmodelinfo()),
            Client(node, lambda rpc: rpc.generatetext("The ", 2), lambda rpc: rpc.auditblock(rpc.getbestblockhash()),
                   lambda rpc: rpc.exportmodel(f"{path}{next(numbers)}.gguf", "gguf-q8_0")),
            Client(node, lambda rpc: mine_with(rpc, 2), lambda rpc: mine_with(rpc, 3)),
            Client(peer, lambda rpc: rpc.getpeerinfo(), lambda rpc: rpc.auditproof(rpc.getbestblockhash()),
                   lambda rpc: rpc.generatetext("The ", 2)),
        ]
        wait_until(lambda: node.height() >= BLOCKS, "blocks are mined")
        for client in clients:
            client.end()
        for one in (node, peer):
            one.rpc.setmining(False)
        for one in (node, peer):
            wait_until(lambda one=one: one.rpc.getmininginfo()["running"] == 0, "the miner rests")
        for info in (node.rpc.getmininginfo(), peer.rpc.getmininginfo()):
            tap.true(info["attempts"] >= info["shares"] + info["blocks_found"], f"counts: {info}")
        # Both may have found the last block: the next one decides.
        node.generate(1)
        wait_for_same_tip(node, peer)
        tap.equal(node.model_root(), peer.model_root(), "model roots")
        tap.true(peer.rpc.auditchain(4)["valid"], "the chain")


def one_thread():
    """On one thread: three attempts at a time, a peer's blocks, audits and texts, all again and again; and the end"""
    with Node("-threads=1", "-par=1") as node, Node("-threads=1", "-par=1", connect=[node]) as peer:
        node.rpc.setmining(True, 3, PAYEES[0])
        peer.rpc.setmining(True, 1, PAYEES[1])
        for _ in range(3):
            before = node.height()
            wait_until(lambda before=before: node.height() > before, "a block is connected")
            tap.equal(len(node.rpc.generatetext("The ", 4)["hex"]), 8, "the text")
            tap.true(node.rpc.auditblock(node.rpc.getblockhash(1))["valid"], "the block")
        tap.true(node.rpc.getmininginfo()["running"] <= 3, "no more attempts than were asked for")
        node.restart()
        peer.rpc.setmining(False)
        wait_until(lambda: peer.rpc.getmininginfo()["running"] == 0, "the miner rests")
        wait_until(lambda: node.height() == peer.height(), "the node has what came meanwhile")
        # Only now: while a faster peer's blocks come, each new tip makes an attempt worthless before it ends.
        node.rpc.setmining(True, 3, PAYEES[0])
        wait_until(lambda: node.rpc.getmininginfo()["attempts"] > 0, "attempts end")
        node.rpc.setmining(False)
        wait_until(lambda: node.rpc.getmininginfo()["running"] == 0, "the node's miner rests")
        node.generate(1)  # both may have found the last block: the next one decides
        wait_for_same_tip(node, peer)


def ends():
    """A node that is told to end while all its threads work ends in order"""
    with Node("-threads=4", "-par=2", f"-mineraddress={PAYEES[0]}", "-mine") as node:
        wait_until(lambda: node.height() >= 1, "blocks are mined")
        for _ in range(2):
            node.restart()
            wait_until(lambda: node.rpc.getmininginfo()["running"] == 4, "all threads work")


def shared():
    """Threads that share one step compute the same as one alone"""
    digests = []
    for threads in (1, 3):
        result = subprocess.run([BENCH, "step", "-spec=test", f"-threads={threads}", "-iterations=1", "-rounds=1", "-json"],
                                capture_output=True, text=True, check=False)
        tap.equal((result.returncode, result.stderr), (0, ""), "status and errors")
        digests.append(json.loads(result.stdout.splitlines()[0])["digest"])
    tap.equal(digests[1], digests[0], "digest")


tap.main(parallel, one_thread, ends, shared)
