#!/usr/bin/env python3
"""A wallet contributes data: they are drawn and trained on, and their owner is paid as doc/protocol.md section 13 says."""

import hashlib
import os
import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from framework.prose import prose
from reference.document import SOURCE
from reference.hashing import blob_root
from reference.headers import Block
from reference.reward import reference_value, slot_pay
from reference.spec import built_in
from reference.state import Outcome
from reference.transactions import address

CORPUS = os.path.join(SOURCE, "data", "genesis.txt")
SPEC = built_in("regtest")


def contributor():
    """A node whose wallet "w" can pay, and is not paid for mining any more."""
    node = Node()
    node.rpc.createwallet("w")
    node.rpc.generatetoaddress(2, node.rpc.getnewaddress())
    node.generate(SPEC.maturity)
    return node


class Payments:
    """What the blocks owe to the owners of data, worked out from what they state."""

    def __init__(self, node):
        self.node = node
        self.values = []    # slot values of the blocks so far, v_min at least
        self.paid = {}      # owner's address -> sum

    def weight(self, height):
        """Of all datasets that the slots of the block at this height were drawn from; none is in quarantine here."""
        return sum(dataset["size"] for dataset in self.node.rpc.listdatasets()
                   if dataset["number"] == 0 or dataset["height"] + SPEC.data_delay <= height)

    def check(self, height):
        """Compares the data payments of the block at this height, which are for its parent's slots."""
        block = Block.parse(bytes.fromhex(self.node.rpc.getblock(self.node.rpc.getblockhash(height), 0)))
        parent = self.node.rpc.getblock(self.node.rpc.getblockhash(height - 1))["outcome"]
        coinbase = block.transactions[0]
        stated = Outcome.parse(coinbase.outputs[-1][1][2:])
        tap.equal(stated.void, parent["void"], f"void, as block {height} states")
        expected, v_ref = [], reference_value(SPEC, self.values)
        weight = self.weight(height - 1)
        for slot, said in zip(parent["slots"], stated.slots):
            tap.equal(said.count, slot["proofs"] > 0, "whether the slot had a proof")
            pay = slot_pay(SPEC, height - 1, slot["proofs"], said.value, v_ref, weight)
            if slot["dataset"] > 0 and pay > 0:
                owner = self.node.rpc.getdataset(str(slot["dataset"]))["owner"]
                expected.append((pay, owner))
                self.paid[owner] = self.paid.get(owner, 0) + pay
        self.values += [slot.value for slot in stated.slots if slot.count and slot.value >= SPEC.v_min]
        # Own miner and loose proofs come first; they are all there, as none of these amounts is zero here.
        found = [(amount, address("ratl", script[2:])) for amount, script
                 in coinbase.outputs[1 + len(block.loose):-1]]
        tap.equal(found, expected, f"data payments of block {height}")


def check_mean_value(node, dataset):
    """The mean value is over the draws at which the model had learned of the data. (The tip's are not in the registry yet.)"""
    values = [slot["value"] for height in range(1, node.height())
              for outcome in [node.rpc.getblock(node.rpc.getblockhash(height))["outcome"]] if not outcome["void"]
              for slot in outcome["slots"] if slot["dataset"] == dataset["number"] and slot.get("known")]
    tap.equal(dataset["known_draws"], len(values), "draws at which it was known")
    tap.true(0 < len(values) < dataset["draws"], "some draws are known and some are not, or this shows nothing")
    # The registry keeps 2^-16 nats of each.
    tap.true(abs(dataset["mean_value"] - sum(values) / len(values)) < 2 ** -15, f"the mean value {dataset['mean_value']}")


def check_last_draws(node, dataset):
    """What getdataset tells of the last draws is what the blocks' outcomes tell."""
    expected = []
    for height in range(node.height(), 0, -1):
        outcome = node.rpc.getblock(node.rpc.getblockhash(height))["outcome"]
        expected += [slot | {"height": height} for slot in outcome["slots"]
                     if not outcome["void"] and slot["dataset"] == dataset["number"] and slot["proofs"] > 0]
    tap.equal(dataset["last_draws"], expected[:10], "the last draws")


def drawn_and_paid():
    """A file becomes a dataset, is drawn, and its owner is paid to the last unit; a second node agrees"""
    with contributor() as node, Node(connect=[node]) as other:
        wait_for_same_tip(node, other)
        data = prose(1, 40000)
        path = os.path.join(node.root, "data.txt")
        with open(path, "wb") as file:
            file.write(data)
        owner = node.rpc.getnewaddress("owner")
        before = node.rpc.getbalances()["mine"]["trusted"] + node.rpc.getbalances()["mine"]["immature"]
        answer = node.rpc.contributedata(path, "CC0-1.0", "Of the corpus — a piece", owner)
        tap.equal(node.rpc.getrawmempool(), [answer["commitment"]], "the mempool before the commitment is in a block")
        node.generate(1)
        tap.equal(answer["root"], blob_root(data).hex(), "root")
        tap.equal((answer["size"], answer["owner"], answer["burned"] * 10 ** 8), (len(data), owner,
                  10 * len(data) + 10000), "answer")
        wait_until(lambda: other.rpc.getrawmempool() == [answer["txid"]], "the contribution reaches the other node")
        tap.equal(len(node.rpc.listdatasets()), 1, "datasets before a block registers it")
        node.generate(1)
        registered = node.height()
        listed = node.rpc.listdatasets()[1]
        tap.equal([listed[name] for name in ("number", "root", "size", "licence", "title", "owner", "txid", "height",
                                             "status", "total_draws", "total_paid")],
                  [1, answer["root"], len(data), "CC0-1.0", "Of the corpus — a piece", owner, answer["txid"], registered,
                   "active", 0, 0], "the dataset")
        payments = Payments(node)
        for height in range(2, registered + 1):
            payments.check(height)
        spent = before - sum(node.rpc.getbalances()["mine"].values())
        tap.equal(spent, answer["burned"] + answer["fee"], "what it cost")
        while node.rpc.getdataset("1")["total_paid"] == 0 or node.height() < registered + 30:
            tap.true(node.height() < registered + 200, "the owner of good data is never paid")
            node.generate(5)
        for height in range(registered + 1, node.height() + 1):
            payments.check(height)
        dataset = node.rpc.getdataset("1")
        tap.equal(dataset["total_paid"] * 10 ** 8, payments.paid[owner], "paid in all")
        tap.true(dataset["total_draws"] > 3, "draws")
        tap.equal((dataset["drawable_from"], "quarantine" in dataset), (registered + SPEC.data_delay, False), "to draw")
        check_last_draws(node, dataset)
        check_mean_value(node, dataset)
        received = sum(node.rpc.getbalances()["mine"].values()) + spent - before
        tap.equal(received, dataset["total_paid"], "what the owner's wallet got")
        # The other node followed, executed all of it, and can serve the bytes.
        wait_for_same_tip(node, other)
        tap.equal(other.model_root(), node.model_root(), "model root")
        tap.equal(other.rpc.getdataset("1"), dataset, "the dataset at the other node")
        tap.true(dataset["available"], "the bytes are here")
        tap.equal(bytes.fromhex(other.rpc.getblob(answer["root"])), data, "the bytes at the other node")
        tap.equal(bytes.fromhex(other.rpc.getblob(answer["root"], 4090, 10)), data[4090:4100], "some of them")
        tap.true(other.rpc.auditchain(10)["valid"], "audit")
        node.restart()
        tap.equal((node.tip(), node.rpc.getdataset("1")), (other.tip(), dataset), "after a restart")
        with Node(connect=[other]) as late:  # knows of the transaction only from the block
            wait_for_same_tip(late, other)
            tap.equal(late.rpc.getdataset("1"), dataset, "the dataset at a late node")


def private_language(size):
    """A text's letters, of which each has four that may follow it: what is learned of them is wrong for texts."""
    letters = b" abcdefghijklmnopqrstuvwxyz"
    draws, text = random.Random(2), bytearray(b" ")
    follow = {letter: draws.sample(letters, 4) for letter in letters}
    while len(text) < size:
        text.append(follow[text[-1]][draws.randrange(4)])
    return bytes(text)


def bad_data():
    """Noise and a private language, five times as much as the corpus, void few blocks and end in quarantine"""
    for title, data in (("noise", random.Random(1).randbytes(1000000)), ("private", private_language(1000000))):
        with contributor() as node:
            node.contribute("", "CC0-1.0", title, None, data.hex())
            node.generate(1)
            start, void, left_out = node.height(), 0, 0
            while node.rpc.getdataset("1")["status"] == "active":
                outcome = node.rpc.getblock(node.generate(1)[0])["outcome"]
                void += outcome["void"]
                left_out += sum(slot["dataset"] == 1 and slot.get("left_out", False) for slot in outcome["slots"])
                tap.true(node.height() < start + 400, f"{title} is never in quarantine")
            dataset = node.rpc.getdataset("1")
            print(f"# {title}: {node.height() - start} blocks, {dataset['total_draws']} draws, {void} void, {left_out} left out")
            tap.equal(dataset["status"], "quarantine", "status")
            tap.true(left_out > 0 and void * 3 < node.height() - start + 10, "what it did before")
            payments = Payments(node)
            for height in range(2, node.height() + 1):
                payments.check(height)
            tap.equal(dataset["total_paid"] * 10 ** 8, payments.paid.get(dataset["owner"], 0), "paid in all")
            if title == "noise":
                tap.equal((payments.paid, dataset["total_paid"]), ({}, 0), "what noise is paid")
            # Nobody trains on it any more, and it cannot be registered anew.
            tap.equal([slot["dataset"] for slot in node.rpc.gettraininginfo()["next_slots"]], [0] * SPEC.slots, "next slots")
            with tap.raises(-27, "as dataset 1"):
                node.rpc.contributedata("", "CC0-1.0", title, None, data.hex())


def refused():
    """What is too small, too large, there already, or not as it must be, is refused"""
    with contributor() as node:
        data, path = prose(1, 40000), os.path.join(node.root, "data.bin")
        for size, expected in ((0, "0 bytes"), (32767, "32767 bytes"), ((1 << 24) + 1, "larger than 16777216")):
            with open(path, "wb") as file:
                file.truncate(size)
            with tap.raises(-8, expected):
                node.rpc.contributedata(path, "CC0-1.0", "a title")
        for licence, title in (("", "a title"), ("CC 0", "a title"), ("CC0-1.0", "bell\x07"), ("ÄÖ", "a title")):
            with tap.raises(-8, "licence" if title == "a title" else "title"):
                node.rpc.contributedata("", licence, title, None, data.hex())
        with tap.raises(-5, "Invalid address"):
            node.rpc.contributedata("", "CC0-1.0", "a title", "nonsense", data.hex())
        with tap.raises(-6, "Insufficient"):
            with Node(connect=[node]) as poor:
                wait_for_same_tip(node, poor)
                poor.rpc.createwallet("empty")
                poor.rpc.contributedata("", "CC0-1.0", "a title", None, data.hex())
        tap.equal(node.rpc.getrawmempool(), [], "the mempool after all this")
        with open(CORPUS, "rb") as file:
            corpus = file.read()
        with tap.raises(-27, "dataset 0"):  # what the chain began with: the corpus but for the benchmark
            node.rpc.contributedata("", "CC0-1.0", "the corpus", None, corpus[:-SPEC.bench_bytes].hex())
        node.contribute("", "CC0-1.0", "the first", None, data.hex())
        with tap.raises(-4, "contributes these bytes already"):
            node.rpc.contributedata("", "CC0-1.0", "the second", None, data.hex())
        tap.equal(len(node.rpc.getrawmempool()), 1, "transactions")
        node.generate(1)
        with tap.raises(-27, "dataset 1"):
            node.rpc.contributedata("", "CC0-1.0", "the third", None, data.hex())
        with tap.raises(-26, "bad-contrib-novelty"):
            node.rpc.contributedata("", "CC0-1.0", "another", None, data[:-1].hex())
        node.contribute("", "CC0-1.0", "another", None, prose(2, 40000).hex())
        node.generate(1)
        tap.equal([one["title"] for one in node.rpc.listdatasets()[1:]], ["the first", "another"], "datasets")


def false_blob():
    """A peer that sends other bytes than the root stands for is dropped; the right bytes are taken afterwards"""
    with contributor() as node, Node(connect=[node]) as victim:
        wait_for_same_tip(node, victim)
        victim.disconnect(node)
        data = prose(1, 40000)
        answer = node.contribute("", "CC0-1.0", "a piece", None, data.hex())
        tap.equal(victim.rpc.submitblock(node.rpc.getblock(node.tip(), 0)), None, "the block with the commitment")
        raw, root = bytes.fromhex(node.rpc.getrawtransaction(answer["txid"])), bytes.fromhex(answer["root"])
        flipped = bytearray(data)
        flipped[12345] ^= 1
        # The node asks one after the other, who brought the transaction first.
        liars = [(Peer(victim), wrong) for wrong in (bytes(flipped), data[:-1], data + b"x", bytes(1 << 24))]
        with Peer(victim) as mute, Peer(victim) as good:
            liars[0][0].send("tx", raw)
            for liar, wrong in liars:
                liar.send("part", liar.is_asked_for_blob(root) + wrong)
                liar.wait_for_close()
            mute.is_asked_for_blob(root)
            tap.equal(victim.rpc.getrawmempool(), [], "the mempool")
            with tap.raises(-5, "not found"):
                victim.rpc.getblob(answer["root"])
            mute.give(root, None)
            good.is_asked_for_blob(root)
            good.give(root, data)
            wait_until(lambda: victim.rpc.getrawmempool() != [], "the bytes are looked at")
            for peer in (mute, good):
                peer.sync()
                tap.true(not peer.closed, "an honest peer is dropped")
        for liar, _ in liars:
            liar.close()
        tap.equal(victim.rpc.getrawmempool(), [answer["txid"]], "the mempool in the end")
        victim.connect(node)
        victim.generate(1)
        wait_for_same_tip(node, victim)
        tap.equal(hashlib.sha256(bytes.fromhex(victim.rpc.getblob(answer["root"]))).digest(),
                  hashlib.sha256(data).digest(), "the bytes")


def block_without_blob():
    """A block that registers what a node lacks waits for the bytes"""
    with contributor() as node, Node(connect=[node]) as victim:
        wait_for_same_tip(node, victim)
        victim.disconnect(node)
        data = prose(1, 40000)
        answer = node.contribute("", "CC0-1.0", "a piece", None, data.hex())
        tap.equal(victim.rpc.submitblock(node.rpc.getblock(node.tip(), 0)), None, "the block with the commitment")
        root = bytes.fromhex(answer["root"])
        node.generate(1)
        tip = victim.tip()
        block = Block.parse(bytes.fromhex(node.rpc.getblock(node.tip(), 0)))
        with Peer(victim) as peer:
            peer.send("block", block.serialise())
            peer.is_asked_for_blob(root)
            peer.sync()
            tap.equal(victim.tip(), tip, "tip without the bytes")
            victim.restart()
        with Peer(victim) as peer:
            peer.give(root, data)
            wait_until(lambda: victim.tip() == node.tip(), "the block is connected")
        tap.equal(victim.model_root(), node.model_root(), "model root")


tap.main(drawn_and_paid, bad_data, refused, false_blob, block_without_blob)
