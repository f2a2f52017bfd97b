#!/usr/bin/env python3
"""Filling blocks with data: each block that registers too much makes the bytes of all later ones dearer by an eighth
(doc/protocol.md section 12), nodes drop what burns too little by then, and the price falls back when it is over: not
before what single blocks had beyond twice the target is worked off."""

import decimal
import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip, wait_until
from reference import data
from reference.spec import built_in
from reference.transactions import address

# The target is 32768 bytes a block, so one contribution of the largest size fills a block as far as the rate goes.
CHANGES = {"name": "flood", "hrp": "flo", "blob_min": 32768, "blob_max": 65536, "blob_budget": 2097152, "maturity": 1,
           "data_delay": 1000}
SPEC = built_in("regtest", **CHANGES)
FULL, SMALL = 65536, 32768
PAYEE = address("flo", bytes.fromhex(KEYS[0]))
COIN = 10 ** 8
COMMITMENT = 10000


def private_node():
    node = Node(chain="flood", start=False)
    node.use_spec(CHANGES)
    node.start()
    return node


def give_wallet(node, coins):
    node.rpc.createwallet("w")
    own = node.rpc.getnewaddress()
    for _ in range(coins):
        node.rpc.generatetoaddress(1, own)


def contribute(node, number, size):
    blob = random.Random(number).randbytes(size)
    return node.rpc.contributedata("", "CC0-1.0", f"number {number}", None, blob.hex())


def registered(node):
    """Bytes, block by block from genesis on."""
    used = [0] * (node.height() + 1)
    for dataset in node.rpc.listdatasets()[1:]:
        used[dataset["height"]] += dataset["size"]
    return used


def rates(node):
    """After each block from genesis on, worked out from what is registered."""
    out, debt = [data.first_rate(SPEC)], 0
    for size in registered(node)[1:]:
        rate, debt = data.next_rate(SPEC, out[-1], debt, size)
        out.append(rate)
    return out


def shown(rate):
    return decimal.Decimal(-(-rate * 1000 // 65536)) / 1000


def check_estimate(node):
    """What the node says that data cost, against the second implementation; the rate that the next block asks for."""
    after = rates(node)
    asked = data.asked_rate(after)
    answer = node.rpc.estimatedatafee(SMALL)
    offered = data.offered_rate(SPEC, after)
    tap.equal(answer, {"size": SMALL, "rate": shown(offered), "blocks": data.RATE_WINDOW,
                       "burn": decimal.Decimal(data.least_burn(offered, SMALL)) / COIN, "least_rate": shown(asked),
                       "least_burn": decimal.Decimal(data.least_burn(asked, SMALL)) / COIN}, "what data cost")
    tap.equal(node.rpc.getblockchaininfo()["data_rate"], shown(after[-1]), "the rate of the chain")
    return asked


def flood():
    """Who fills blocks pays an eighth more for each; what others sent before is dropped when it burns too little"""
    with private_node() as spammer, private_node() as honest:
        give_wallet(spammer, 45)
        honest.connect(spammer)
        honest.rpc.createwallet("w")
        spammer.rpc.sendtoaddress(honest.rpc.getnewaddress(), 5)
        spammer.rpc.generatetoaddress(2, PAYEE)
        wait_for_same_tip(spammer, honest)
        honest.disconnect(spammer)
        check_estimate(honest)
        early = contribute(honest, 0, SMALL)
        honest.rpc.generatetoaddress(1, PAYEE)
        tap.equal(spammer.rpc.submitblock(honest.rpc.getblock(honest.tip(), 0)), None, "the block with the commitment")
        start = spammer.height()
        raw = honest.rpc.getrawtransaction(early["txid"])
        tap.equal(early["burned"] * COIN, 10 * SMALL + COMMITMENT, "the price before the flood")
        burned = []
        while check_estimate(spammer) < 3 * data.first_rate(SPEC):
            tap.true(spammer.height() < start + 40, "the price never rises")
            burned.append(contribute(spammer, len(burned) + 1, FULL)["burned"] * COIN)
            spammer.rpc.generatetoaddress(1, PAYEE)
        # 1.125 ^ 10 is more than 3; it takes 12 blocks until the first of them is asked for.
        after = rates(spammer)[start:]
        full = [i for i in range(1, len(after)) if after[i] == after[i - 1] + after[i - 1] // 8]
        tap.true(len(full) >= 21, f"{len(full)} blocks were full")
        tap.true(burned[-1] > 8 * burned[0], f"the spammer paid {burned} for as many bytes each")
        with tap.raises(-26, "bad-contrib-burn"):
            spammer.rpc.sendrawtransaction(raw)
        tap.equal(honest.rpc.getrawmempool(), [early["txid"]], "the mempool of who was away")
        honest.connect(spammer)
        wait_for_same_tip(spammer, honest)
        wait_until(lambda: early["txid"] not in honest.rpc.getrawmempool(), "what burns too little is dropped")
        wait_until(lambda: honest.rpc.listdatasets() == spammer.rpc.listdatasets(), "the same datasets")
        check_estimate(honest)
        # Who pays the price of the day is registered all the same.
        honest.rpc.abandontransaction(early["txid"])
        answer = contribute(honest, 0, SMALL)
        # Its commitment is there, and is not paid for again.
        tap.equal(answer["burned"], honest.rpc.estimatedatafee(SMALL)["burn"], "what the honest one burns")
        for _ in range(4):
            honest.rpc.generatetoaddress(1, PAYEE)
        own = [one for one in honest.rpc.listdatasets() if one["title"] == "number 0"]
        tap.equal([one["burned"] * COIN for one in own], [answer["burned"] * COIN], "what the data burned")
        # And without a flood the price falls to where it was.
        while rates(honest)[-1] > data.first_rate(SPEC):
            honest.rpc.generatetoaddress(5, PAYEE)
            tap.true(honest.height() < start + 100, "the price never falls")
            check_estimate(honest)
        wait_for_same_tip(spammer, honest)
        honest.restart()
        check_estimate(honest)


def every_second():
    """Who fills every second block, and waits between until the rate has fallen, pays more and more all the same"""
    with private_node() as node:
        give_wallet(node, 40)
        start, number = node.height(), 0
        while check_estimate(node) < 2 * data.first_rate(SPEC):
            tap.true(node.height() < start + 60, "the price never rises")
            for _ in range(3):
                contribute(node, number, FULL)
                number += 1
            node.rpc.generatetoaddress(1, PAYEE)  # the commitments
            node.rpc.generatetoaddress(1, PAYEE)
        # No two neighbours register anything, so that each step up was followed by a chance to fall.
        used, after = registered(node), rates(node)
        full = [height for height, size in enumerate(used) if size]
        tap.true(all(high - low >= 2 for low, high in zip(full, full[1:])), f"blocks that register: {full}")
        tap.true(after[-1] > 2 * after[0], f"rates {after}")
        # What is owed is worked off at a target a block: for so long the price stays, and then it falls.
        owed = (sum(used) - 2 * SMALL * len(full) - SMALL * (node.height() - full[0] + 1 - len(full))) // SMALL
        tap.true(owed > 8, f"{owed} blocks to wait")
        node.rpc.generatetoaddress(owed, PAYEE)
        check_estimate(node)
        tap.equal(rates(node)[-1], after[-1], "the rate while the debt is worked off")
        first = node.tip()
        node.rpc.generatetoaddress(1, PAYEE)
        tap.true(check_estimate(node) < after[-1], "the rate falls when nothing is owed")
        node.rpc.invalidateblock(node.tip())
        tap.equal(node.tip(), first, "the tip")
        tap.equal(rates(node)[-1], after[-1], "the rate comes back with the block before")
        check_estimate(node)
        node.restart()
        check_estimate(node)


def undone():
    """Rates go back with the blocks"""
    with private_node() as node:
        give_wallet(node, 5)
        check_estimate(node)
        before = node.rpc.estimatedatafee(FULL)
        first = node.height() + 1
        for number in range(3):
            contribute(node, number, FULL)
            node.rpc.generatetoaddress(1, PAYEE)
            check_estimate(node)
        tap.true(node.rpc.estimatedatafee(FULL)["rate"] > before["rate"], "the rate rises")
        node.rpc.invalidateblock(node.rpc.getblockhash(first))
        tap.equal(node.rpc.estimatedatafee(FULL), before, "after all blocks were undone")
        for size in (0, SMALL - 1, FULL + 1):
            with tap.raises(-8, "32768 to 65536"):
                node.rpc.estimatedatafee(size)


tap.main(flood, every_second, undone)
