#!/usr/bin/env python3
"""Words, passphrases and restarts: what a wallet keeps, what it hides, and what comes back."""

import os
import sys
from decimal import Decimal

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until

MATURITY = 10
WORDS = " ".join(["abandon"] * 11 + ["about"])


def restored_from_words():
    """A wallet restored from its words finds its coins, and gives the same addresses"""
    with Node() as a, Node(connect=[a]) as b:
        tap.equal(a.rpc.createwallet("w"), {"name": "w"}, "the answer where no passphrase is given")
        tap.true("warning" in a.rpc.createwallet(wallet_name="bare", passphrase=""), "no warning of an empty passphrase")
        a.rpc.unloadwallet("bare")
        words = a.rpc.dumpmnemonic()
        tap.equal(len(words.split()), 24, "words")
        first = a.rpc.getnewaddress()
        a.rpc.generatetoaddress(2, first)
        a.generate(MATURITY)
        a.rpc.sendtoaddress(a.rpc.getnewaddress(), 1)
        a.generate(1)
        wait_for_same_tip(a, b)
        b.rpc.createwallet(wallet_name="again", mnemonic=words)
        wait_until(lambda: b.rpc.getwalletinfo()["scanning"] is False, "it has looked through the chain")
        tap.equal(b.rpc.getbalances()["mine"], a.rpc.getbalances()["mine"], "balances")
        tap.equal(b.rpc.getnewaddress(), a.rpc.getnewaddress(), "the next address")
        tap.equal(len(b.rpc.listtransactions("*", 100)), len(a.rpc.listtransactions("*", 100)), "history")
        tap.equal(b.rpc.dumpmnemonic(), words, "words")
        with tap.raises(-8, "checksum"):
            b.rpc.createwallet(wallet_name="wrong", mnemonic=" ".join(["abandon"] * 12))
        with tap.raises(-8, "Word 2"):
            b.rpc.createwallet(wallet_name="wrong", mnemonic="abandon abandonn")


def known_words():
    """Well-known words give the addresses of BIP86 with coin type 1"""
    with Node() as node:
        node.rpc.createwallet(wallet_name="w", mnemonic=WORDS)
        info = node.rpc.getaddressinfo(node.rpc.getnewaddress())
        # Other wallets show it as tb1p8wpt9v4frpf3tkn0srd97pksgsxc5hs52lafxwru9kgeephvs7rqlqt9zj.
        tap.equal(info["witness_program"], "3b82b2b2a9185315da6f80da5f06d0440d8a5e1457fa93387c2d919c86ec8786", "output key")
        tap.equal((info["hdkeypath"], info["ismine"], info["ischange"]), ("m/86'/1'/0'/0/0", True, False), "path")
        change = node.rpc.getaddressinfo(node.rpc.getrawchangeaddress())
        tap.equal((change["hdkeypath"], change["ischange"]), ("m/86'/1'/0'/1/0", True), "change")


def passphrases():
    """A locked wallet shows and receives, but neither sends nor tells its words"""
    with Node() as node:
        tap.true("warning" not in node.rpc.createwallet(wallet_name="w", passphrase="sesame"), "no warning")
        address = node.rpc.getnewaddress()
        node.rpc.generatetoaddress(1, address)
        node.generate(MATURITY)
        tap.true(node.rpc.getbalance() > 0, "a locked wallet receives")
        for call in (lambda: node.rpc.sendtoaddress(address, 1), node.rpc.dumpmnemonic):
            with tap.raises(-13):
                call()
        with tap.raises(-14):
            node.rpc.walletpassphrase("Sesame", 60)
        with tap.raises(-8):
            node.rpc.walletpassphrase("sesame", -1)
        node.rpc.walletpassphrase("sesame", 600)
        tap.true(node.rpc.getwalletinfo()["unlocked_until"] > 0, "unlocked")
        node.rpc.sendtoaddress(address, 1)
        node.rpc.walletlock()
        tap.equal(node.rpc.getwalletinfo()["unlocked_until"], 0, "locked")
        node.rpc.walletpassphrase("sesame", 1)
        wait_until(lambda: node.rpc.getwalletinfo()["unlocked_until"] == 0, "it locks itself")
        node.rpc.walletpassphrasechange("sesame", "open")
        with tap.raises(-14):
            node.rpc.walletpassphrasechange("sesame", "other")
        with tap.raises(-15):
            node.rpc.encryptwallet("other")
        node.restart("-wallet=w")
        with tap.raises(-13):
            node.rpc.sendtoaddress(address, 1)
        node.rpc.walletpassphrase("open", 60)
        node.rpc.sendtoaddress(address, 1)
        node.rpc.createwallet("bare")
        bare = node.rpc.wallet("bare")
        for call in (lambda: bare.walletpassphrase("", 60), bare.walletlock,
                     lambda: bare.walletpassphrasechange("", "x")):
            with tap.raises(-15):
                call()
        bare.encryptwallet("late")
        with tap.raises(-13):
            bare.dumpmnemonic()
        bare.walletpassphrase("late", 60)
        tap.equal(len(bare.dumpmnemonic().split()), 24, "words")


def killed():
    """What was acknowledged survives kill -9: addresses, payments, balances"""
    with Node() as node:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
        node.generate(MATURITY)
        given = [node.rpc.getnewaddress(f"number {n}") for n in range(3)]
        txid = node.rpc.sendtoaddress(given[0], 2)
        balance = node.rpc.getbalance()
        node.kill()
        node.start("-wallet=w")
        tap.equal(node.rpc.gettransaction(txid)["details"][0]["amount"], Decimal(-2), "the payment is known")
        tap.equal(node.rpc.getaddressinfo(given[2])["labels"], ["number 2"], "label")
        tap.true(node.rpc.getnewaddress() not in given, "no address is given out twice")
        wait_until(lambda: node.rpc.getrawmempool() == [txid], "the payment is offered to the mempool again")
        tap.equal(node.rpc.getbalance(), balance, "balance")
        node.generate(1)
        tap.equal(node.rpc.gettransaction(txid)["confirmations"], 1, "confirmations")
        node.kill()
        node.start("-wallet=w")
        tap.equal(node.rpc.gettransaction(txid)["confirmations"], 1, "confirmations")
        tap.equal(node.rpc.getbalance(), balance, "balance in the end")


def modes():
    """Nobody but the owner can look into a node's folder and its wallets"""
    before = os.umask(0o022)
    try:
        with Node() as node:
            node.rpc.createwallet("w")
            node.rpc.getnewaddress()
            node.rpc.encryptwallet("sesame")
            node.restart("-wallet=w")
            folder = os.path.join(node.chaindir, "wallets")
            for base, _, files in os.walk(folder):
                tap.equal(oct(os.stat(base).st_mode & 0o777), "0o700", f"mode of {base}")
                for name in files:
                    tap.equal(oct(os.stat(os.path.join(base, name)).st_mode & 0o777), "0o600", f"mode of {name}")
    finally:
        os.umask(before)


def loaded_at_start():
    """Wallets that are to be are loaded when the node starts; one that cannot be is told in the log, and no more"""
    with Node() as node:
        for name, wanted in (("a", True), ("b", False), ("d", False)):
            node.rpc.createwallet(wallet_name=name, load_on_startup=wanted)
        node.rpc.createwallet("c")
        node.restart()
        tap.equal(node.rpc.listwallets(), ["a", "c"], "wallets after the start")
        tap.equal(node.rpc.loadwallet("d", True), {"name": "d"}, "answer")
        tap.equal(node.rpc.unloadwallet("a", False), {}, "answer")
        node.rpc.unloadwallet("c")  # stays on the list
        node.kill()
        node.start()
        tap.equal(node.rpc.listwallets(), ["c", "d"], "wallets after the next start")
        os.remove(os.path.join(node.chaindir, "wallets", "c", "CURRENT"))
        os.rename(os.path.join(node.chaindir, "wallets", "b"), os.path.join(node.root, "b"))
        node.rpc.loadwallet("a", True)
        node.kill()
        node.start()
        tap.equal(node.rpc.listwallets(), ["d", "a"], "wallets without the one that lost its CURRENT")
        tap.true("The wallet c" in node.log() and "CURRENT is missing" in node.log(), "the log does not say why")
        for call in (node.rpc.loadwallet, node.rpc.createwallet):
            with tap.raises(-4, "CURRENT"):
                call("c")
        with tap.raises(-18):
            node.rpc.loadwallet("b")
        with open(os.path.join(node.chaindir, "wallets", ".startup"), "ab") as file:
            file.write(bytes(1 << 20))
        tap.true("warning" in node.rpc.unloadwallet("a", False), "no warning that the list cannot be changed")
        node.restart("-wallet=d")
        tap.equal(node.rpc.listwallets(), ["d"], "wallets with a list that cannot be read")


def undone_block():
    """A block that is undone takes its coins with it, also while the wallet is not loaded"""
    with Node() as node:
        node.rpc.createwallet("w")
        address = node.rpc.getnewaddress()
        node.rpc.generatetoaddress(2, address)
        node.generate(MATURITY)
        before = node.rpc.getbalance()
        reward = node.rpc.getblock(node.rpc.getblockhash(2))["tx"][0]
        txid = node.rpc.sendtoaddress(address, 2)
        node.generate(1)
        after = node.rpc.getbalance()
        node.rpc.invalidateblock(node.tip())
        tap.equal(node.rpc.gettransaction(txid)["confirmations"], 0, "confirmations")
        wait_until(lambda: node.rpc.getbalance() == after, "the payment is in the mempool again")
        node.generate(1, key=1)
        tap.equal(node.rpc.gettransaction(txid)["confirmations"], 1, "confirmations on the other branch")
        node.rpc.unloadwallet("w")
        node.rpc.invalidateblock(node.rpc.getblockhash(2))
        node.rpc.loadwallet("w")
        orphans = [e for e in node.rpc.listtransactions("*", 100) if e["category"] == "orphan"]
        tap.equal({(e["txid"] == reward, e["confirmations"]) for e in orphans}, {(True, 0)}, "the undone reward")
        tap.true(node.rpc.getbalances()["mine"]["immature"] < before, "only one reward is left")


tap.main(restored_from_words, known_words, passphrases, killed, modes, loaded_at_start, undone_block)
