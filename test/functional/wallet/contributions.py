#!/usr/bin/env python3
"""Contributing data as its owner does it: which addresses that uses up, what is refused before anything is burned, what a
wallet restored from its words can go on with, and what it says of data that are refused."""

import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.spec import built_in

SPEC = built_in("regtest")
GAP = 20  # unused addresses that a wallet looks ahead


def fund(node, coins=2):
    """Gives the wallet coins that can be spent; the address that they came to."""
    address = node.rpc.getnewaddress()
    node.rpc.generatetoaddress(coins, address)
    node.generate(SPEC.maturity)
    return address


def contribute(node, data, owner=None, **more):
    return node.rpc.contributedata(file="", licence="CC0-1.0", title="a title", hexdata=data.hex(),
                                   **{"owner": owner} if owner else {}, **more)


def index_of(node, address):
    return int(node.rpc.getaddressinfo(address)["hdkeypath"].rpartition("/")[2])


def restored(node, words):
    node.rpc.createwallet(wallet_name="again", mnemonic=words)
    wait_until(lambda: node.rpc.getwalletinfo()["scanning"] is False, "it has looked through the chain")


def addresses():
    """Calls that are refused give out no address; owners count as used, and a wallet restored from words finds what is paid"""
    with Node() as node, Node(connect=[node]) as other:
        node.rpc.createwallet("w")
        words, data = node.rpc.dumpmnemonic(), prose("addresses", 40000)
        for _ in range(GAP + 5):
            with tap.raises(-6, "funds"):
                contribute(node, data)
        tap.equal(index_of(node, fund(node)), 0, "the address that is paid")
        for _ in range(GAP + 5):
            with tap.raises(-8, "title"):
                node.rpc.contributedata("", "CC0-1.0", "bell\x07", None, data.hex())
            contribute(node, data, dry_run=True)
        answer = contribute(node, data)
        tap.equal(index_of(node, answer["owner"]), 1, "the owner's address is the next one")
        tap.equal(node.rpc.getaddressinfo(answer["owner"])["labels"], ["data owner"], "its label")
        for _ in range(GAP + 5):
            with tap.raises(-4, "already"):
                contribute(node, data)
        tap.equal(index_of(node, node.rpc.getrawchangeaddress()), 2, "change: the commitment's own and the registration's coin")
        # Most of the gap is given out and never paid; the last of these owns data, and is not paid yet either.
        given = [node.rpc.getnewaddress() for _ in range(GAP - 2)]
        tap.equal(index_of(node, given[0]), 2, "the next address")
        contribute(node, prose("owned", 40000), given[-1])
        while len(node.rpc.listdatasets()) < 3:
            node.generate(1)
        beyond = [node.rpc.getnewaddress() for _ in range(GAP - 1)][-1]
        node.rpc.generatetoaddress(1, beyond)
        wait_for_same_tip(node, other)
        restored(other, words)
        tap.equal(other.rpc.getbalances()["mine"], node.rpc.getbalances()["mine"], "balances")
        tap.equal(other.rpc.getnewaddress(), node.rpc.getnewaddress(), "the next address of both")


tap.main(addresses)
