#!/usr/bin/env python3
"""Every call of a wallet says so where no wallet is loaded, or several and none is named.

Such a call is answered before its arguments are looked at. Three of them looked afterwards, at memory that was free
again: with MALLOC_PERTURB_ it holds nonsense, and the daemon ends."""

import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node
from reference.transactions import address

PAYEE = address("ratl", bytes.fromhex(KEYS[0]))
TXID = "00" * 32
CALLS = {
    "abandontransaction": [TXID],
    "contributedata": ["", "CC0-1.0", "a title", None, "00"],
    "dumpmnemonic": [],
    "encryptwallet": ["sesame"],
    "getaddressinfo": [PAYEE],
    "getbalance": ["*", 1],
    "getbalances": [],
    "getnewaddress": ["label"],
    "getrawchangeaddress": [],
    "gettransaction": [TXID, None, True],
    "getwalletinfo": [],
    "listtransactions": ["*", 5, 1],
    "listunspent": [0, 100, [PAYEE]],
    "sendmany": ["", {PAYEE: 1}, None, None, [PAYEE]],
    "sendtoaddress": [PAYEE, 1],
    "setlabel": [PAYEE, "label"],
    "unloadwallet": [],
    "walletlock": [],
    "walletpassphrase": ["sesame", 1],
    "walletpassphrasechange": ["sesame", "open"],
}
NO_WALLET = {"createwallet", "listwalletdir", "listwallets", "loadwallet", "validateaddress"}


def refused(rpc, code):
    for name, arguments in CALLS.items():
        with tap.raises(code):
            getattr(rpc, name)(*arguments)


def no_wallet():
    """No wallet is loaded, or several and none is named"""
    os.environ["MALLOC_PERTURB_"] = "165"
    with Node() as node:
        refused(node.rpc, -18)
        refused(node.rpc.wallet("nobody"), -18)
        node.rpc.createwallet("a")
        node.rpc.createwallet("b")
        refused(node.rpc, -19)
        refused(node.rpc.wallet("nobody"), -18)


def none_is_left_out():
    """The list of calls above is whole"""
    with Node() as node:
        text = node.rpc.help()
        wallet = text.split("== Wallet ==")[1].split("==")[0]
        listed = {line.split()[0] for line in wallet.strip().splitlines() if line.strip()}
        tap.equal(listed - set(CALLS) - NO_WALLET, set(), "calls of wallets that are not tried")


tap.main(no_wallet, none_is_left_out)
