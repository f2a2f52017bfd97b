#!/usr/bin/env python3
"""The explorer's index knows of every address what the blocks say: through payments, struck runs, reorganisations,
restarts, damage, and after it was off."""

import collections
import os
import shutil
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_until
from framework.prose import prose
from framework.rounds import SPEC, P, mine_to, play_round, with_wallet
from reference.transactions import address

STRANGER = address("ratl", bytes.fromhex(KEYS[1]))
UNKNOWN = address("ratl", bytes.fromhex(KEYS[2]))
VERDICTS = ("merged", "left out", "struck", "empty")


def units(amount):
    return round(amount * 10 ** 8)


class Books:
    """What the blocks of a node say of each address, counted here once more."""

    def __init__(self, node):
        self.coins, self.sums = {}, collections.defaultdict(collections.Counter)
        self.lists = collections.defaultdict(list)
        struck = []
        for height in range(1, node.height() + 1):
            block = node.rpc.getblock(node.rpc.getblockhash(height), 2)
            for seat in struck:
                self.strike(seat, height)
            struck = []
            for transaction in block["tx"]:
                self.add(transaction, block)
            self.add_payments(block)
            round_blocks = node.rpc.getchainspec()["round_blocks"]
            if round_blocks and height % round_blocks == 0 and height >= 2 * round_blocks:
                for seat in node.rpc.getround(height - round_blocks)["seats"]:
                    self.sums[seat["miner"]][seat["state"]] += 1
                    if seat["state"] == "struck":
                        struck.append((seat["miner"], node.rpc.getblock(seat["blockhash"])["tx"][0]))

    def strike(self, seat, height):
        miner, txid = seat
        owner, amount = self.coins.pop((txid, 0))
        assert owner == miner
        self.sums[miner].update(balance=-amount, lost=amount)
        self.lists[miner].append((height, txid, -amount, True))

    def add(self, transaction, block):
        changes = collections.Counter()
        for spent in transaction["vin"]:
            if "coinbase" not in spent and "round" not in transaction:
                owner, amount = self.coins.pop((spent["txid"], spent["vout"]))
                changes[owner] -= amount
        for output in transaction["vout"]:
            if "address" in output["scriptPubKey"]:
                owner, amount = output["scriptPubKey"]["address"], units(output["value"])
                self.coins[transaction["txid"], output["n"]] = owner, amount
                changes[owner] += amount
        for owner, amount in changes.items():
            self.sums[owner].update(balance=amount, txs=1, received=max(amount, 0), sent=max(-amount, 0))
            self.lists[owner].append((block["height"], transaction["txid"], amount, False))

    def add_payments(self, block):
        self.sums[block["miner"]]["blocks"] += 1
        for kind, what in ("proofs", "proofs"), ("late", "late"):
            for proof in block[kind]:
                self.sums[proof["miner"]].update({what: 1, "paid_proofs": units(proof["reward"])})
        for payment in block["data_payments"]:
            self.sums[payment["owner"]]["paid_data"] += units(payment["amount"])
        for payment in block.get("run_payments", ()):
            self.sums[payment["miner"]]["paid_runs"] += units(payment["amount"])

    def earned(self, owner):
        return sum(self.sums[owner][name] for name in ("paid_proofs", "paid_data", "paid_runs"))

    def compare(self, node):
        for owner in list(self.sums):
            told = node.rpc.getaddresshistory(owner, 1000)
            tap.equal((told["address"], told["height"], told["complete"]), (owner, node.height(), True), "what is told")
            self.compare_given(told, owner)
            for name in ("balance", "received", "sent"):
                tap.equal(units(told[name]), self.sums[owner][name], f"{name} of {owner}")
            tap.equal(told["txs"], self.sums[owner]["txs"], "transactions")
            found = [(one["height"], one["txid"], units(one["amount"]), "lost" in one) for one in told["transactions"]]
            tap.equal(sorted(found), sorted(self.lists[owner]), f"transactions of {owner}")
            tap.equal([one[0] for one in found], sorted((one[0] for one in found), reverse=True), "the newest first")
        givers = {owner for owner, sums in self.sums.items()
                  if self.earned(owner) or any(sums[name] for name in ("blocks", "proofs", "late", *VERDICTS))}
        told = node.rpc.listcontributors(1000)
        tap.equal((told["count"], {one["address"] for one in told["contributors"]}), (len(givers), givers), "contributors")
        tap.equal([units(one["earned"]) for one in told["contributors"]],
                  sorted((self.earned(owner) for owner in givers), reverse=True), "who earned most is first")
        for one in told["contributors"]:
            self.compare_given(one, one["address"])

    def compare_given(self, told, owner):
        sums = self.sums[owner]
        for name in ("blocks", "proofs", "late"):
            tap.equal(told[name], sums[name], f"{name} of {owner}")
        tap.equal(told["runs"], {verdict: sums[verdict] for verdict in VERDICTS}, f"runs of {owner}")
        for name in ("paid_proofs", "paid_data", "paid_runs", "lost"):
            tap.equal(units(told[name]), sums[name], f"{name} of {owner}")
        tap.equal(units(told["earned"]), self.earned(owner), f"what {owner} earned")


def level(node):
    wait_until(lambda: node.rpc.listcontributors()["complete"], "the index is level")


def everything(node):
    """All that it says, to be compared with what it says later."""
    people = node.rpc.listcontributors(1000)
    return people, [node.rpc.getaddresshistory(one["address"], 1000) for one in people["contributors"]]


def payments_and_data():
    """Payments, data and proofs are counted, page by page; and again after everything that may happen to the index"""
    with Node() as node:
        node.rpc.createwallet("w")
        own = node.rpc.getnewaddress()
        node.rpc.generatetoaddress(14, own)
        node.contribute("", "CC-BY-4.0", "letters", None, prose(1, 40000).hex())
        node.rpc.sendtoaddress(STRANGER, "1.25")
        node.rpc.sendtoaddress(STRANGER, "0.5")
        node.rpc.generatetoaddress(3, own)
        for _ in range(200):
            node.generate(5)
            if node.rpc.getdataset("1")["total_paid"] > 0:
                break
        Books(node).compare(node)
        tap.equal(units(node.rpc.getaddresshistory(STRANGER)["balance"]), 175000000, "the stranger's balance")
        owner = node.rpc.getdataset("1")["owner"]
        told = node.rpc.getaddresshistory(owner)
        tap.equal((told["datasets"], told["own"]), ([1], True), "the dataset's owner")
        tap.true(told["paid_data"] > 0, "he was paid for it")
        nobody = node.rpc.getaddresshistory(UNKNOWN)
        tap.equal((nobody["balance"], nobody["txs"], nobody["transactions"]), (0, 0, []), "an address that nobody paid")
        with tap.raises(-5, "Invalid address"):
            node.rpc.getaddresshistory("ratl1nonsense")
        whole = node.rpc.getaddresshistory(own, 1000)["transactions"]
        tap.equal([node.rpc.getaddresshistory(own, 3, skip)["transactions"] for skip in (0, 3, len(whole) - 1, len(whole))],
                  [whole[:3], whole[3:6], whole[-1:], []], "pages of transactions")
        people = node.rpc.listcontributors(1000)["contributors"]
        tap.equal([node.rpc.listcontributors(1, skip)["contributors"] for skip in range(len(people) + 1)],
                  [*([one] for one in people), []], "pages of people")
        survives(node, own)


def survives(node, own):
    before, ids = everything(node), [node.rpc.getblockhash(height) for height in (5, 12)]
    for block_id in ids:
        node.rpc.invalidateblock(block_id)
        Books(node).compare(node)
        node.rpc.generatetoaddress(1, own)
        Books(node).compare(node)
        node.rpc.reconsiderblock(block_id)
        tap.true(everything(node) == before, "after a branch and back")
    node.restart("-wallet=w")
    tap.true(everything(node) == before, "after a restart")
    node.kill()
    node.start("-wallet=w")
    level(node)
    tap.true(everything(node) == before, "after a kill")

    # What happens while it is off, on another branch at that, it finds out afterwards.
    node.restart("-wallet=w", "-explorer=0")
    for call in lambda: node.rpc.listcontributors(), lambda: node.rpc.getaddresshistory(own):
        with tap.raises(-1, "-explorer=0"):
            call()
    node.rpc.invalidateblock(ids[1])
    node.rpc.generatetoaddress(2, STRANGER)
    node.restart("-wallet=w")
    level(node)
    Books(node).compare(node)
    tap.true("made anew" not in node.log(), "it went back to the fork, block by block")
    node.rpc.reconsiderblock(ids[1])
    tap.true(everything(node) == before, "back on the branch that it knew")

    for options in ("-reindex",), ():
        node.stop()
        if not options:
            damage(os.path.join(node.chaindir, "explorer"))
        node.start("-wallet=w", *options)
        node.wait_for_height(before[0]["height"])
        level(node)
        tap.true(everything(node) == before, f"made anew with {options}")
    tap.true("explorer's index is made anew" in node.log(), "the log tells of the damage")
    node.stop()
    shutil.rmtree(os.path.join(node.chaindir, "explorer"))
    node.start("-wallet=w")
    level(node)
    tap.true(everything(node) == before, "after it was removed")


def damage(folder):
    """Of the file that names all others."""
    for name in os.listdir(folder):
        if name.startswith("MANIFEST"):
            with open(os.path.join(folder, name), "r+b") as file:
                file.write(b"\xff" * 64)


def runs():
    """Merged and struck runs are counted, with what they earned and lost"""
    node = with_wallet("-threads=3")
    play_round(node, P)
    commit_runs_again(node)
    Books(node).compare(node)
    node.rpc.unloadwallet("w", load_on_startup=False)
    node.stop()
    shutil.rmtree(os.path.join(node.chaindir, "runs"))
    node.start()
    stranger = address(SPEC["hrp"], bytes.fromhex(KEYS[1]))
    mine_to(node, 3 * P + 2, stranger)
    books = Books(node)
    tap.equal((books.sums[node.own]["struck"] > 0, books.sums[node.own]["lost"] > 0), (True, True), "runs were struck")
    tap.true(books.sums[node.own]["paid_runs"] > 0, "and others paid")
    books.compare(node)
    before, merge = everything(node), node.rpc.getblockhash(3 * P)
    node.rpc.invalidateblock(merge)
    Books(node).compare(node)
    node.rpc.reconsiderblock(merge)
    tap.true(everything(node) == before, "with the merge and its child taken off and put back")


def commit_runs_again(node):
    mine_to(node, 2 * P)
    wait_until(lambda: node.rpc.getmempoolinfo()["size"] == P, "commits of the second round")
    mine_to(node, 2 * P + 1)


if __name__ == "__main__":
    tap.main(payments_and_data, runs)
