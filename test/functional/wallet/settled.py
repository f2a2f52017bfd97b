#!/usr/bin/env python3
"""The share of those who made the model: who is paid what, once, whatever blocks come and go, and wherever the process
is killed in between."""

import contextlib
import http.client
import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_until

MATURITY, PPM, COIN = 10, 250000, 10 ** 8
SPEC = {"name": "shared", "hrp": "shr", "usage_ppm": PPM}
LIBRARY = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "test", "functional", "faults.so")
WRITE, SYNC, KILL = 1, 2, -1


def units(amount):
    return int(amount * COIN)


class Shop:
    """A node that sells, whose wallet is "shop"; "ann" and "ben" have mined, and ann has paid for a key."""

    def __init__(self, **environment):
        self.node = Node("-price=0.5", "-confirmations=1", chain=SPEC["name"], start=False)
        self.node.use_spec(SPEC)
        self.node.environment = environment
        self.node.start()
        for name in ("shop", "ann", "ben"):
            self.node.rpc.createwallet(name)
        self.shop = self.node.rpc.wallet("shop")
        self.address = self.shop.getnewaddress()
        for name, count in ("ann", 3), ("ben", 2), ("shop", MATURITY):
            self.node.rpc.generatetoaddress(count, self.node.rpc.wallet(name).getnewaddress())
        self.node.rpc.wallet("ann").sendtoaddress(self.shop.createinvoice("key")["address"], 4)
        self.mine(1)

    def mine(self, count):
        return self.node.rpc.generatetoaddress(count, self.address)

    def use(self, tokens):
        self.node.rpc.chargekey("key", tokens)

    def parts(self, share):
        """By address, what each is to have of so many base units."""
        people = {person["address"]: units(person["earned"]) - units(person["lost"])
                  for person in self.node.rpc.listcontributors(1000)["contributors"]}
        return {name: share * weight // sum(people.values()) for name, weight in people.items() if weight}

    def sums(self):
        income = self.node.rpc.getincome()
        return tuple(units(income[name]) for name in ("income", "settled", "owed"))

    def sent(self):
        """What was sent to others, by transaction."""
        return {entry["txid"] for entry in self.shop.listtransactions("*", 1000) if entry["category"] == "send"}


def paid(answer):
    return {payee["address"]: units(payee["amount"]) for payee in answer["payees"]}


def settles_once():
    """Everybody gets the part that he earned, once, and what is used later is settled later; blocks that go change nothing"""
    shop = Shop()
    with shop.node as node:
        tap.equal(shop.shop.settleusage()["payees"], [], "nothing was used")
        shop.use(2000)
        share = COIN * PPM // 10 ** 6
        tap.equal(shop.sums(), (COIN, 0, share), "a coin was earned")
        parts = shop.parts(share)
        tap.equal(len(parts), 4, "addresses that have made the model")
        dry = shop.shop.settleusage(True)
        tap.equal((paid(dry), "txid" in dry, node.rpc.getrawmempool()), (parts, False, []), "a dry run")
        answer = shop.shop.settleusage()
        tap.equal(paid(answer), parts, "paid")
        outputs = {output["scriptPubKey"]["address"]: units(output["value"])
                   for output in node.rpc.getrawtransaction(answer["txid"], 2)["vout"]}
        tap.equal({name: outputs.get(name) for name in parts}, parts, "outputs of the transaction")
        settled = sum(parts.values())
        tap.equal(shop.sums(), (COIN, settled, share - settled), "rounding is left")
        with tap.raises(-4, answer["txid"]):
            shop.shop.settleusage()
        node.rpc.unloadwallet("shop")
        with tap.raises(-4, "not loaded"):
            node.rpc.wallet("ann").settleusage()
        node.rpc.loadwallet("shop")
        block, = shop.mine(1)
        tap.equal(shop.shop.settleusage()["payees"], [], "nothing is left to pay")
        node.rpc.invalidateblock(block)
        with tap.raises(-4, answer["txid"]):
            shop.shop.settleusage()
        node.rpc.generatetoaddress(1, node.rpc.wallet("ben").getnewaddress())
        shop.use(4000)
        parts = shop.parts(3 * share - settled)
        answer = shop.shop.settleusage()
        tap.equal(paid(answer), parts, "the next, by what has been earned by then")
        settled += sum(parts.values())
        tap.equal(shop.sums(), (3 * COIN, settled, 3 * share - settled), "settled")
        shop.mine(1)
        node.restart()
        wait_until(lambda: shop.sums() == (3 * COIN, settled, 3 * share - settled), "known after a restart")


def killed_between():
    """A process that is killed before its wallet knows the settlement pays it later, and one that is killed then does not pay twice"""
    if not os.path.exists(LIBRARY):
        raise tap.Skip("faults.so has not been built")
    shop = Shop(LD_PRELOAD=LIBRARY, FAULTS="/nonexistent")
    with shop.node as node:
        faults = node.environment["FAULTS"] = os.path.join(node.root, "faults.txt")
        shop.use(2000)
        before, owed = shop.sent(), shop.sums()
        for calls, is_known in (WRITE, False), (SYNC, True):
            with open(faults, "w", encoding="ascii") as file:
                file.write("0 0 0 0 0 - 0\n")
            node.restart()
            with open(faults, "w", encoding="ascii") as file:
                file.write(f"{calls} {KILL} 0 0 0 wallets/shop 1\n")
            with contextlib.suppress(OSError, http.client.HTTPException):
                shop.shop.settleusage()
            node.wait_for_exit()
            with open(faults, "w", encoding="ascii") as file:
                file.write("0 0 0 0 0 - 2\n")
            node.start()
            if not is_known:
                tap.equal((shop.sent(), shop.sums()), (before, owed), "nothing was sent, and all is owed")
        settlement, = shop.sent() - before
        tap.equal(node.rpc.getincome()["waiting"], settlement, "the wallet has it")
        with tap.raises(-4, settlement):
            shop.shop.settleusage()
        wait_until(lambda: settlement in node.rpc.getrawmempool(), "and sends it")
        shop.mine(1)
        tap.equal(shop.shop.settleusage()["payees"], [], "nothing more")
        tap.equal(shop.sent() - before, {settlement}, "sent once")


tap.main(settles_once, killed_between)
