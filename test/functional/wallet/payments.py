#!/usr/bin/env python3
"""A wallet mines, pays, is paid, and tells about it; what it cannot do it refuses with Bitcoin Core's codes."""

import sys
from decimal import Decimal

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until

MATURITY = 10


def rich_node(*options):
    """A node whose wallet "w" has mature coins."""
    node = Node(*options)
    node.rpc.createwallet("w")
    node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
    node.generate(MATURITY)
    return node


def rewards_mature():
    """A reward is immature, then counts, then can be spent"""
    with Node() as node:
        node.rpc.createwallet("w")
        address = node.rpc.getnewaddress("mine")
        tap.equal(node.rpc.getbalance(), 0, "balance")
        node.rpc.generatetoaddress(1, address)
        immature = node.rpc.getbalances()["mine"]["immature"]
        tap.true(immature > 0, "there is a reward")
        entry = node.rpc.listtransactions()[-1]
        tap.equal((entry["category"], entry["generated"], entry["address"], entry["label"], entry["confirmations"]),
                  ("immature", True, address, "mine", 1), "listed")
        tap.equal(entry["reward"], "generate", "what it is the reward for")
        tap.equal(node.rpc.listunspent(), [], "coins")
        with tap.raises(-6, "Insufficient"):
            node.rpc.sendtoaddress(address, 1)
        node.generate(MATURITY - 2)
        tap.equal(node.rpc.getbalance(), 0, "balance one block too early")
        node.generate(1)
        tap.equal(node.rpc.getbalance(), immature, "balance")
        tap.equal(node.rpc.getbalances()["mine"]["immature"], 0, "immature")
        tap.equal(node.rpc.listtransactions()[-1]["category"], "generate", "category")
        coins = node.rpc.listunspent()  # the block's own proof, and the loose ones with it
        tap.equal({(c["address"], c["label"], c["confirmations"], c["spendable"]) for c in coins},
                  {(address, "mine", MATURITY, True)}, "coins")
        tap.equal(sum(c["amount"] for c in coins), immature, "sum of the coins")
        tap.equal(node.rpc.getwalletinfo()["txcount"], 1, "transactions")


def payment_arrives():
    """A payment reaches another node's wallet, unconfirmed and then confirmed"""
    with rich_node() as a, Node(connect=[a]) as b:
        wait_for_same_tip(a, b)
        b.rpc.createwallet("b")
        address = b.rpc.getnewaddress("rent")
        before = a.rpc.getbalance()
        txid = a.rpc.sendtoaddress(address, "1.5")
        wait_until(lambda: b.rpc.getrawmempool() == [txid], "the payment reaches the other node")
        tap.equal(b.rpc.getbalances()["mine"]["untrusted_pending"], Decimal("1.5"), "pending")
        tap.equal(b.rpc.getbalance(), 0, "what is only pending cannot be spent")
        with tap.raises(-6):
            b.rpc.sendtoaddress(address, 1)
        sent, = [e for e in a.rpc.listtransactions() if e["category"] == "send"]
        tap.equal((sent["amount"], sent["address"], sent["txid"]), (Decimal("-1.5"), address, txid), "sent")
        tap.true(Decimal("-0.00001") < sent["fee"] < 0, "the fee is 1 base unit a byte")
        tap.equal(a.rpc.getbalance(), before - Decimal("1.5") + sent["fee"], "the sender's balance, change included")
        a.generate(1)
        wait_for_same_tip(a, b)
        tap.equal(b.rpc.getbalance(), Decimal("1.5"), "received")
        tap.equal(b.rpc.gettransaction(txid)["confirmations"], 1, "confirmations")
        detail, = b.rpc.gettransaction(txid)["details"]
        tap.equal((detail["category"], detail["label"], detail["amount"]), ("receive", "rent", Decimal("1.5")), "detail")
        tap.equal(a.rpc.gettransaction(txid, None, True)["decoded"]["txid"], txid, "decoded")
        tap.equal(a.rpc.gettransaction(txid)["amount"], Decimal("-1.5"), "amount without the fee")
        with tap.raises(-5):
            b.rpc.gettransaction("00" * 32)


def many_payees():
    """sendmany pays all; payees may pay the fee; a wallet can be emptied"""
    with rich_node() as node:
        node.rpc.createwallet("x")
        w, x = node.rpc.wallet("w"), node.rpc.wallet("x")
        one, two = x.getnewaddress(), x.getnewaddress()
        answer = w.sendmany(amounts={one: 1, two: "2.00000001"}, subtractfeefrom=[one], fee_rate="3.5", verbose=True)
        amounts = {e["address"]: e["amount"] for e in x.listunspent(0)}
        tap.equal(amounts, {one: 1 - answer["fee"], two: Decimal("2.00000001")}, "received")
        size = w.gettransaction(answer["txid"], None, True)["decoded"]["vsize"]
        tap.equal(answer["fee"] * 10**8, -(-size * 7 // 2), "fee at 3.5 base units a byte")
        w.sendtoaddress(address=one, amount=str(w.getbalance()), subtractfeefromamount=True)
        tap.equal(w.getbalance(), 0, "nothing is left")
        tap.equal(w.listunspent(0), [], "no coin is left")
        node.generate(1)
        tap.equal([e["confirmations"] for e in x.listunspent()], [1, 1, 1], "all confirmed")
        with tap.raises(-8, "not among the amounts"):
            x.sendmany("", {one: 1}, 1, "", [two])
        with tap.raises(-5, "Invalid address"):
            x.sendmany("", {"nobody": 1})
        with tap.raises(-8):
            x.sendmany("", {})


def refusals():
    """Wrong addresses, amounts, fees and names are refused with Bitcoin Core's codes"""
    with rich_node() as node:
        address = node.rpc.getnewaddress()
        for wrong in ("", "nonsense", address[:-1], address.upper()[:-2] + "qq",
                      "bcrt1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqu0vk7c"):
            with tap.raises(-5, "Invalid address"):
                node.rpc.sendtoaddress(wrong, 1)
            tap.equal(node.rpc.validateaddress(wrong)["isvalid"], False, "validity")
        tap.equal(node.rpc.validateaddress(address.upper())["address"], address, "upper case is the same address")
        for wrong in (-1, "x", "0.000000001", 21000001):
            with tap.raises(-3):
                node.rpc.sendtoaddress(address, wrong)
        with tap.raises(-8, "below 330"):
            node.rpc.sendtoaddress(address, "0.00000329")
        with tap.raises(-8, "fee rate"):
            node.rpc.sendtoaddress(address=address, amount=1, fee_rate="0.999")
        with tap.raises(-8, "exceeds"):
            node.rpc.sendmany(amounts={address: 1, **{node.rpc.getnewaddress(): 1 for _ in range(24)}}, fee_rate=10000)
        with tap.raises(-18, "not loaded"):
            node.rpc.wallet("nobody").getbalance()
        node.rpc.createwallet("second")
        with tap.raises(-19, "Several wallets"):
            node.rpc.getbalance()
        with tap.raises(-36):
            node.rpc.createwallet("second")
        with tap.raises(-35):
            node.rpc.loadwallet("second")
        with tap.raises(-8, "name"):
            node.rpc.createwallet("../elsewhere")
        node.rpc.unloadwallet("second")
        node.rpc.wallet("w").unloadwallet()
        with tap.raises(-18, "No wallet is loaded"):
            node.rpc.getbalance()
        with tap.raises(-18):
            node.rpc.loadwallet("third")
        tap.equal([w["name"] for w in node.rpc.listwalletdir()["wallets"]], ["second", "w"], "on disk")
        tap.equal(node.rpc.loadwallet("w"), {"name": "w"}, "loaded")
        tap.equal(node.rpc.listwallets(), ["w"], "loaded wallets")


def listing():
    """listtransactions pages through the newest, filters by label, and tells what was abandoned"""
    with rich_node() as node:
        address = node.rpc.getnewaddress("shop")
        rewards = len(node.rpc.listtransactions("*", 100))
        txids = [node.rpc.sendtoaddress(address, n + 1) for n in range(3)]
        everything = node.rpc.listtransactions("*", 100)
        tap.equal(len(everything), rewards + 2 * 3, "entries: rewards, and each payment sent and received")
        tap.equal(node.rpc.listtransactions("*", 2, 3), everything[-5:-3], "a page")
        tap.equal([e["txid"] for e in node.rpc.listtransactions("shop")],
                  [txid for txid in txids for _ in range(2)], "those with the label")
        tap.equal(node.rpc.listtransactions("*", 0), [], "none")
        with tap.raises(-5, "cannot be abandoned"):
            node.rpc.abandontransaction(txids[0])
        tap.equal(node.rpc.getaddressinfo(address)["labels"], ["shop"], "label")
        node.rpc.setlabel(address, "museum")
        tap.equal(node.rpc.getaddressinfo(address)["labels"], ["museum"], "new label")


tap.main(rewards_mature, payment_arrives, many_payees, refusals, listing)
