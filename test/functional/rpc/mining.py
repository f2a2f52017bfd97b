#!/usr/bin/env python3
"""Mining on demand and for good, what it tells of itself, and blocks that are handed in."""

import os
import sys
import threading

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.hashing import sha256
from reference.headers import Block
from reference.transactions import address

PAYEES = [address("ratl", bytes.fromhex(key)) for key in KEYS]


def generate():
    """generatetoaddress makes as many blocks as asked for, and gives up when its tries are used up"""
    with Node() as node:
        ids = node.rpc.generatetoaddress(3, PAYEES[0])
        tap.equal(ids, [node.rpc.getblockhash(height) for height in (1, 2, 3)], "ids")
        tap.equal({node.rpc.getblockheader(one)["miner"] for one in ids}, {PAYEES[0]}, "who is paid")
        tap.equal(node.rpc.generatetoaddress(0, PAYEES[0]), [], "no blocks")
        before = node.rpc.getmininginfo()
        tap.true(len(node.rpc.generatetoaddress(1000, PAYEES[0], 5)) <= 5, "blocks of five tries")
        after = node.rpc.getmininginfo()
        tap.equal(after["attempts"] - before["attempts"], 5, "attempts")
        tap.equal(node.rpc.generatetoaddress(5, PAYEES[0], 0), [], "no tries")
        # Several clients at a time: served one after the other, nobody's block is counted for another.
        answers = {}
        threads = [threading.Thread(target=lambda i=i: answers.update({i: node.rpc.generatetoaddress(3, PAYEES[i])}))
                   for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tap.equal(len({one for ids in answers.values() for one in ids}), 9, "different blocks")
        for i, ids in answers.items():
            tap.equal({node.rpc.getblockheader(one)["miner"] for one in ids}, {PAYEES[i]}, "who is paid")


def drawn(node):
    """Which datasets the slots of the next block have"""
    return {slot["dataset"] for slot in node.rpc.gettraininginfo()["next_slots"]}


def refused(node):
    """What generatetoaddress says of one block; None: it mines it"""
    try:
        node.generate(1)
    except RpcError as error:
        return str(error)
    return None


def mining_pauses(node):
    return [text for text in node.rpc.getmininginfo()["warnings"] if text.startswith("Mining pauses: ")]


def lost_while_mining(node, path):
    """What is said where data are lost after proofs were found that train on them: the block that lists those needs them"""
    with open(path, "rb") as file:
        data = file.read()
    while True:
        while drawn(node) != {0, 1} or node.rpc.gettraininginfo()["loose_proofs"] < 4:
            node.rpc.generatetoaddress(1, PAYEES[0], 1)
        os.remove(path)
        found = refused(node)
        if found:
            return found
        node.stop()  # no proof of these was there
        with open(path, "wb") as file:
            file.write(data)
        node.start()


def lost_data():
    """Where bytes of a dataset are lost that the next block needs, the call says which; from a peer they are fetched"""
    with Node() as node, Node() as other:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(1, node.rpc.wallet("w").getnewaddress())
        node.generate(12, key=2)
        root = node.contribute(wallet="w", file="", licence="CC0-1.0", title="lost", hexdata=prose(1, 400000).hex())["root"]
        node.generate(2)
        path = os.path.join(node.chaindir, "blobs", root)
        while drawn(node) != {1}:
            node.generate(1)
        other.connect(node)
        wait_for_same_tip(node, other)
        node.rpc.setnetworkactive(False)
        os.remove(path)
        said = f"block {node.height() + 1} cannot be mined: bytes of a dataset are lost here, data {root}"
        found = str(refused(node))
        tap.true(said in found, f"'{said}' is not in '{found}'")
        tap.equal(mining_pauses(node), [], "nobody mines for good")
        node.rpc.setmining(True, 1, PAYEES[1])
        wait_until(lambda: [text.startswith(f"Mining pauses: {said}") for text in mining_pauses(node)] == [True], "it warns")
        tap.true(said in node.rpc.getmininginfo()["paused"], "why mining pauses")
        node.rpc.setmining(False)
        wait_until(lambda: mining_pauses(node) == [], "the warning ends with mining")
        node.rpc.setmining(True)
        wait_until(lambda: mining_pauses(node), "it warns again")
        height = node.height()
        node.rpc.setnetworkactive(True)
        node.connect(other)
        wait_until(lambda: os.path.exists(path), "they are fetched")
        wait_until(lambda: node.height() > height and "paused" not in node.rpc.getmininginfo(), "mining goes on with them")
        wait_until(lambda: mining_pauses(node) == [], "the warning ends")
        node.rpc.setmining(False)
        tap.equal(refused(node), None, "with them")
        node.rpc.setnetworkactive(False)
        found = lost_while_mining(node, path)
        said = f"block {node.height() + 1} cannot be verified: bytes that it needs are lost here, data {root}"
        tap.true(said in found, f"'{said}' is not in '{found}'")
        before = node.height()
        node.rpc.setnetworkactive(True)
        wait_until(lambda: node.height() > before, "the block is verified then")


def set_mining():
    """setmining starts, changes and stops mining; getmininginfo tells how it goes"""
    with Node() as node:
        info = node.rpc.getmininginfo()
        counts = ("blocks", "running", "attempts", "shares", "blocks_found", "failed")
        tap.equal([info[name] for name in ("mining", "chain", "threads", *counts)],
                  [False, "regtest", 1, *(0 for _ in counts)], "at first")
        with tap.raises(-1, "-mineraddress"):
            node.rpc.setmining(True)
        node.rpc.setmining(True, 2, PAYEES[1])
        wait_until(lambda: node.height() >= 3, "blocks are mined")
        info = node.rpc.getmininginfo()
        tap.equal([info[name] for name in ("mining", "threads", "address")], [True, 2, PAYEES[1]], "while it mines")
        tap.true(info["attempts"] >= info["shares"] + info["blocks_found"] >= 3, f"counts: {info}")
        # Its own block may be in verification at this moment.
        tap.true("better tip" in info.get("paused", "better tip") and info["tokens_per_second"] > 0, f"rate: {info}")
        tap.equal(node.rpc.getblock(node.tip())["miner"], PAYEES[1], "who is paid")
        node.rpc.setmining(True, 1)  # the same payee goes on
        tap.equal([node.rpc.getmininginfo()[name] for name in ("threads", "address")], [1, PAYEES[1]], "fewer threads")
        ids = node.rpc.generatetoaddress(2, PAYEES[2])  # goes first
        tap.equal({node.rpc.getblockheader(one)["miner"] for one in ids}, {PAYEES[2]}, "who is paid on demand")
        height = node.height()
        wait_until(lambda: node.height() > height, "mining goes on")
        node.rpc.setmining(False)
        wait_until(lambda: node.rpc.getmininginfo()["running"] == 0, "the miner rests")
        wait_until(lambda: not node.rpc.gettraininginfo(0)["verification"]["blocks_verifying"], "nothing is verified")
        height = node.height()
        attempts = node.rpc.getmininginfo()["attempts"]
        node.rpc.createwallet("w")
        tap.equal((node.rpc.getmininginfo()["attempts"], node.height()), (attempts, height), "while mining was off")
        node.rpc.setmining(True)  # there is a wallet now: a new address of it
        tap.true(node.rpc.getaddressinfo(node.rpc.getmininginfo()["address"])["ismine"], "the payee")
        node.rpc.setmining(False)


def at_start():
    """-mine with an address, and with a wallet"""
    with Node(f"-mineraddress={PAYEES[1]}", "-mine") as node:
        wait_until(lambda: node.height() >= 2, "blocks are mined")
        tap.equal(node.rpc.getblock(node.rpc.getblockhash(1))["miner"], PAYEES[1], "who is paid")
    with Node() as node:
        node.rpc.createwallet("w")
        node.restart("-mine", "-wallet=w")
        wait_until(lambda: node.height() >= 2, "blocks are mined")
        tap.true(node.rpc.getaddressinfo(node.rpc.getblock(node.rpc.getblockhash(1))["miner"])["ismine"], "who is paid")
        tap.true(node.rpc.getbalances()["mine"]["immature"] > 0, "the reward")


def submit():
    """submitblock takes a block with and without bodies, and tells why it does not"""
    with Node() as maker, Node() as node:
        ids = maker.generate(5)
        raw = [bytes.fromhex(maker.rpc.getblock(one, 0)) for one in ids]
        tap.equal(node.rpc.submitblock(raw[1].hex()), "prev-blk-not-found", "a block whose parent is missing")
        tap.equal(node.rpc.submitblock(raw[0].hex()), None, "a block")
        tap.equal(node.rpc.submitblock(raw[0].hex()), "duplicate", "the same again")
        tap.equal(node.rpc.submitblock(maker.rpc.getblock(ids[1], 0, True), "ignored"), None, "one with bodies")
        tap.equal((node.tip(), node.model_root()), (ids[1], maker.rpc.getblock(ids[1])["model_root_after"]), "the tip")
        side = node.generate(2, key=1)
        tap.equal(node.rpc.submitblock(raw[2].hex()), "inconclusive", "a block of a branch with less work")
        tap.equal(node.rpc.submitblock(raw[2].hex()), "duplicate-inconclusive", "the same again")
        tap.equal(node.tip(), side[1], "tip")
        node.rpc.submitblock(raw[3].hex())
        tap.equal(node.rpc.submitblock(raw[4].hex()), None, "the block that gives its branch most work")
        tap.equal((node.tip(), node.model_root()), (maker.tip(), maker.model_root()), "tip and model in the end")
        block = Block.parse(raw[4])
        block.header = block.header.copy(version=2)
        tap.equal(node.rpc.submitblock(block.serialise().hex()), "bad-version", "a wrong one")
        block = Block.parse(bytes.fromhex(maker.rpc.getblock(maker.generate(1)[0], 0)))
        false = (block.header.copy(digest=sha256(b"%d" % i)) for i in range(10000))
        block.header = next(one for one in false if one.is_block())
        tap.equal(node.rpc.submitblock(block.serialise().hex()), "bad-proof-digest", "a false one")
        tap.equal(node.rpc.submitblock(block.serialise().hex()), "bad-proof-digest", "the same again")
        tap.true("refused before" in node.log(), "it was executed again")


def shutdown():
    """Who waits for blocks is answered when the node ends"""
    with Node() as node:
        found = []

        def ask():
            try:
                node.rpc.generatetoaddress(100000, PAYEES[0])
            except (RpcError, OSError) as error:
                found.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: node.height() >= 2, "it mines")
        height = node.height()
        node.rpc.stop()
        tap.equal(node.wait_for_exit(), 0, "exit status")
        thread.join()
        tap.true(len(found) == 1 and "shutting down" in found[0], f"the answer: {found}")
        node.start()
        tap.true(node.height() >= height, "height")


def paused():
    """While a better block is verified mining pauses, and getmininginfo says so"""
    # A benchmark of some seconds, so that a verification lasts.
    changes = {"name": "pauses", "hrp": "pau", "d": 64, "ff": 176, "ctx": 64, "bench_rows": 1024}
    with Node(chain="pauses", start=False) as one, Node(chain="pauses", start=False) as other:
        for node in (one, other):
            node.use_spec(changes)
            node.start()
        other.connect(one)
        payees = [address("pau", bytes.fromhex(key)) for key in KEYS]
        other.rpc.setmining(True, 1, payees[1])
        one.rpc.setmining(True, 1, payees[0])
        wait_until(lambda: "better tip" in other.rpc.getmininginfo().get("paused", ""), "mining pauses")
        tap.equal(other.rpc.getmininginfo()["warnings"], [], "no warning of what ends soon")
        for node in (one, other):
            node.rpc.setmining(False)
        wait_until(lambda: "paused" not in other.rpc.getmininginfo(), "it is over")


tap.main(generate, lost_data, set_mining, at_start, submit, shutdown, paused)
