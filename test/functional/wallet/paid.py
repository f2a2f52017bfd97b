#!/usr/bin/env python3
"""Paid use: invoices become credit, block by block and back; what is used is charged, and forgotten by no death."""

import errno
import json
import os
import re
import shutil
import sys
from decimal import Decimal

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_until
from framework.web import Page

MATURITY = 10
PRICE = Decimal("0.5")  # of 1,000 tokens
LIBRARY = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "test", "functional", "faults.so")
WRITE = 1


def seller(*options):
    """A node that sells, with the wallet "shop", and beside it "purse", which has mature coins to pay with."""
    node = Node(f"-price={PRICE}", "-confirmations=3", *options)
    for name in ("shop", "purse"):
        node.rpc.createwallet(name, load_on_startup=True)
    node.rpc.generatetoaddress(3, node.rpc.wallet("purse").getnewaddress())
    node.generate(MATURITY)
    return node


def sums(node, key="alice"):
    """What the key has: balance, credited and not deep enough, in coins."""
    account = node.rpc.getcredit(key)
    return tuple(account[name] for name in ("balance", "credited", "pending"))


def coins(*amounts):
    return tuple(Decimal(amount) for amount in amounts)


def credit_follows_the_chain():
    """A payment counts when it is deep enough, goes with its block, and comes back once with another"""
    with seller() as node:
        shop, purse = node.rpc.wallet("shop"), node.rpc.wallet("purse")
        tap.equal(sums(node), coins(0, 0, 0), "nobody has heard of her")
        invoice = shop.createinvoice("alice", 2)
        tap.equal((invoice["key"], invoice["amount"], invoice["paid"]), ("alice", 2, False), "the invoice")
        tap.true(shop.getaddressinfo(invoice["address"])["ismine"], "its address is the wallet's")
        txid = purse.sendtoaddress(invoice["address"], "1.5")
        tap.equal(sums(node), coins(0, 0, 0), "in the mempool it is nothing")
        node.generate(2)
        tap.equal(sums(node), coins(0, 0, "1.5"), "two deep")
        deep, = node.generate(1)
        tap.equal(sums(node), coins("1.5", "1.5", 0), "three deep")
        node.rpc.invalidateblock(deep)
        tap.equal(sums(node), coins(0, 0, "1.5"), "the third is taken back")
        node.rpc.invalidateblock(node.rpc.getblockhash(node.height() - 1))
        tap.equal(sums(node), coins(0, 0, 0), "the payment's block too")
        tap.equal(node.rpc.getrawmempool(), [txid], "it waits for another")
        node.generate(3, 1)
        tap.equal(sums(node), coins("1.5", "1.5", 0), "in another block it counts, once")
        purse.sendtoaddress(invoice["address"], "0.5")
        node.generate(3)
        tap.equal(sums(node), coins(2, 2, 0), "the address may be paid again")
        tap.equal([shown["paid"] for shown in node.rpc.listinvoices("alice")], [True], "the invoice is paid")
        tap.equal(node.rpc.listinvoices("bob"), [], "nobody else's")


def use_is_charged():
    """Use is charged, no more than there is credit; credit that is taken back leaves a balance below zero"""
    with seller() as node:
        shop, purse = node.rpc.wallet("shop"), node.rpc.wallet("purse")
        with tap.raises(-6, "does not cover"):
            node.rpc.chargekey("alice", 1)
        with tap.raises(-8, "1 to 64"):
            shop.createinvoice("")
        purse.sendtoaddress(shop.createinvoice("alice")["address"], 1)
        paid = node.generate(3)
        node.rpc.chargekey("alice", 1500)
        tap.equal(sums(node), coins("0.25", 1, 0), "used")
        with tap.raises(-6):
            node.rpc.chargekey("alice", 501)
        tap.equal(node.rpc.chargekey("alice", 500)["tokens"], 2000, "all of it")
        with tap.raises(-6):
            node.rpc.chargekey("alice", 1)
        node.rpc.invalidateblock(paid[0])
        tap.equal(sums(node), coins(-1, 0, 0), "taken back")
        with tap.raises(-6):
            node.rpc.chargekey("alice", 1)
        node.generate(3, 1)
        tap.equal(sums(node), coins(0, 1, 0), "back")


def nothing_is_forgotten():
    """kill -9 forgets neither invoices nor payments nor use, nor does a chain that grew or shrank meanwhile"""
    with seller() as node:
        purse = node.rpc.wallet("purse")
        address = node.rpc.wallet("shop").createinvoice("alice")["address"]
        node.kill()
        node.start()
        purse.sendtoaddress(address, 1)
        node.generate(2)
        node.kill()
        node.start()
        tap.equal(sums(node), coins(0, 0, 1), "pending")
        node.rpc.unloadwallet("shop")
        third, = node.generate(1)
        node.rpc.chargekey("alice", 1000)
        node.kill()
        node.start()
        tap.equal(sums(node), coins("0.5", 1, 0), "credited, and used")
        node.rpc.invalidateblock(third)
        node.kill()
        node.start()
        tap.equal(sums(node), coins("-0.5", 0, 1), "taken back")
        node.generate(1, 1)
        node.stop()
        node.start("-reindex")
        wait_until(lambda: sums(node) == coins("0.5", 1, 0), "payments are found again as blocks are")


def an_old_wallet():
    """A wallet that is put back from an old copy gives no address of an invoice out again"""
    with seller() as node:
        folder, copy = os.path.join(node.chaindir, "wallets", "shop"), os.path.join(node.root, "copy")
        node.rpc.wallet("shop").createinvoice("alice")
        node.stop()
        shutil.copytree(folder, copy)
        node.start()
        given = [node.rpc.wallet("shop").createinvoice(key)["address"] for key in ("alice", "bob")]
        node.kill()
        shutil.rmtree(folder)
        shutil.move(copy, folder)
        node.start()
        tap.true(node.rpc.wallet("shop").createinvoice("carol")["address"] not in given, "carol's is hers alone")


def free_use():
    """Without a price nothing is charged; use is counted all the same"""
    with Node() as node:
        tap.equal(node.rpc.chargekey("alice", 7)["tokens"], 7, "counted")
        tap.equal(sums(node), coins(0, 0, 0), "and free")


def door_takes_payment():
    """A key's texts are charged, refused with 402 beyond its credit; without a key nothing is sold, nor paid for one that is not there"""
    with Node(f"-price={PRICE}", "-confirmations=1", start=False) as node:
        page = Page(node)
        node.start()

        def ask(key, size):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return page.post("/v1/completions", {"model": "atelier-regtest", "prompt": "abcd", "max_tokens": size},
                             **headers)

        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
        node.generate(MATURITY)
        tap.equal((ask(None, 6).status, page.ask("/v1/models").status), (401, 401), "what is sold needs a key, before there is one")
        with tap.raises(-8, "no key of this name"):
            node.rpc.createinvoice("alice smith")
        key = node.rpc.createapikey("alice smith")["key"]
        with tap.raises(-8, "no key of this name"):
            node.rpc.createinvoice("alicesmith")
        answer = ask(key, 6)
        tap.equal((answer.status, answer.json()["error"]["code"]), (402, "insufficient_quota"), "nothing is paid")
        node.rpc.sendtoaddress(node.rpc.createinvoice("alice smith")["address"], "0.01")
        node.generate(1)
        # The page's own paths sell nothing, nor do they give away what is sold here: a receipt of a wrong text tells the right one.
        wanted = {"prompt": "abcd", "bytes": 6, "receipt": True}
        written = json.loads(page.post("/api/generate", wanted, page.key()).body)
        slip = {"receipt": written["receipt"], "prompt": "abcd", "output": written["hex"]}
        for path, body in (("generate", wanted), ("verify", slip)):
            tap.equal(page.post("/api/" + path, body).status, 401, f"/api/{path} without the page's key")
            tap.equal(page.post("/api/" + path, body, page.key()).status, 200, f"/api/{path} with it")
        answer = ask(key, 17)
        tap.equal(answer.status, 402, "21 bytes are not covered by 20")
        tap.equal(re.findall(r"\d+", answer.json()["error"]["message"]), ["20", "21"], "he is told so")
        tap.equal(ask(key, 6).status, 200, "10 are")
        tap.equal(sums(node, "alice smith"), coins("0.005", "0.01", 0), "charged: 4 bytes read and 6 written")
        node.kill()
        node.start()
        tap.equal(ask(key, 7).status, 402, "11 are not")
        tap.equal(ask(key, 6).status, 200, "the rest")
        tap.equal(ask(key, 1).status, 402, "all is used")


def nothing_is_given_away():
    """A text whose charge cannot be written is not handed out, of a stream the end; and what was revoked stays so"""
    if not os.path.exists(LIBRARY):
        raise tap.Skip("faults.so has not been built")
    with Node(f"-price={PRICE}", "-confirmations=1", start=False) as node:
        page, faults = Page(node), os.path.join(node.root, "faults.txt")
        node.environment = {"LD_PRELOAD": LIBRARY, "FAULTS": faults}
        node.start()
        node.rpc.createwallet("w", load_on_startup=True)
        node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
        node.generate(MATURITY)
        key = node.rpc.createapikey("alice")["key"]
        node.rpc.sendtoaddress(node.rpc.createinvoice("alice")["address"], 1)
        node.generate(1)
        for stream in False, True:
            with open(faults, "w", encoding="ascii") as file:
                file.write(f"{WRITE} {errno.ENOSPC} 0 0 0 /credit/ {stream:d}\n")
            answer = page.post("/v1/completions", {"model": "atelier-regtest", "prompt": "abcd", "max_tokens": 6, "stream": stream},
                               Authorization=f"Bearer {key}")
            tap.equal(answer.status, 200 if stream else 503, "status")
            tap.true(b"Nothing is sold" in answer.body and b"[DONE]" not in answer.body, f"it says why: {answer.body}")
            os.remove(faults)
            node.restart()
        with open(faults, "w", encoding="ascii") as file:
            file.write(f"{WRITE} {errno.ENOSPC} 0 0 0 /.api_keys 2\n")
        with tap.raises(-1, "No space left"):
            node.rpc.revokeapikey("alice")
        with open(faults, "w", encoding="ascii"):
            node.restart()
        tap.equal(node.rpc.listapikeys(), [], "a key that was revoked on a full disk")


tap.main(credit_follows_the_chain, use_is_charged, nothing_is_forgotten, an_old_wallet, free_use, door_takes_payment,
         nothing_is_given_away)
