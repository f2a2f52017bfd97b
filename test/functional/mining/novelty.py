#!/usr/bin/env python3
"""Copies are no contributions: of a dataset, of the benchmark, of pages; whoever tries spends nothing. doc/protocol.md section 12."""

import decimal
import os
import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.document import SOURCE
from reference.novelty import Novelty, Refused
from reference.spec import built_in

REFUSED = -26
LARGE = 300000  # judged by a job
SPEC = built_in("regtest")


def owner_node(*options, connect=()):
    node = Node(*options, connect=connect)
    node.rpc.createwallet("w")
    return node


def funded(*nodes):
    """Gives each node's wallet coins that can be spent."""
    for node in nodes:
        node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
        wait_for_same_tip(*nodes)
    nodes[0].generate(SPEC.maturity)
    wait_for_same_tip(*nodes)


def contribute(node, data, *more):
    return node.rpc.contributedata("", "CC0-1.0", "a title", None, data.hex(), *more)


def registered(node, data):
    """Contributes, and mines until it is a dataset; its number."""
    before = len(node.rpc.listdatasets())
    contribute(node, data)
    for _ in range(20):
        node.generate(1)
        if len(node.rpc.listdatasets()) > before:
            return before
    raise AssertionError("the data were never registered")


def changed(data, every):
    """Every so manieth byte is another."""
    copy = bytearray(data)
    for i in range(every // 2, len(copy), every):
        copy[i] ^= 1
    return bytes(copy)


def shuffled(data):
    paragraphs = [data[i:i + 500] for i in range(0, len(data), 500)]
    random.Random(1).shuffle(paragraphs)
    return b"".join(paragraphs)


def copies():
    """Near copies of a dataset, and of the benchmark, are refused before anything is spent; the second implementation agrees"""
    with owner_node() as node:
        funded(node)
        text = prose("original", 40000)
        tap.equal(registered(node, text), 1, "number")
        judge, balance = Novelty(SPEC), node.rpc.getbalance()
        judge.register(text)
        for what, data in (("every 32nd byte", changed(text, 32)), ("every 25th byte", changed(text, 25)),
                           ("in another order", shuffled(text)), ("behind honest text", prose(2, 50000) + text),
                           ("the benchmark", SPEC.benchmark()[:40000])):
            for arguments in ((), (None, False, True)):
                with tap.raises(REFUSED, "benchmark" if what == "the benchmark" else "dataset 1"):
                    contribute(node, data, *arguments)
            try:
                judge.register(data)
            except Refused as refused:
                tap.equal(str(refused), "bad-contrib-novelty", what)
            else:
                raise AssertionError(f"the second implementation takes it: {what}")
        tap.equal((node.rpc.getrawmempool(), node.rpc.getbalance()), ([], balance), "what was spent")
        # Half as much of it beside text of one's own is no copy.
        mixed = prose(3, 50000) + text[:20000]
        judge.register(mixed)
        tap.equal(registered(node, mixed), 2, "number")
        of_copy, of_text = judge.datasets[2], judge.datasets[1]
        share = len(of_copy & of_text) * 1000000 // len(of_copy)
        tap.equal(node.rpc.getdataset("2", True)["resembles"], {"dataset": 1, "share": decimal.Decimal(share) / 1000000},
                  "what it resembles most")
        tap.equal(node.rpc.getdataset("1", True)["resembles"]["dataset"], 0, "what came before the first one")
        for shown in (node.rpc.getdataset("2"), node.rpc.getdataset("0", True), node.rpc.listdatasets()[2]):
            tap.true("resembles" not in shown, "it is looked up if asked for")
        node.restart()
        with tap.raises(REFUSED, "dataset 1"):
            contribute(node, changed(text, 32))


def pages():
    """Empty and repeated pages are refused by page and offset, and may be left out"""
    with owner_node() as node:
        funded(node)
        text = prose("pages", 60000)
        data = text[:8192] + bytes(4096) + text[8192:] + text[4096:8192]
        # The last page of the text goes on with the first bytes of the copy, so no page is equal to another here.
        with tap.raises(REFUSED, "bad-contrib-pages (page 2, at byte 8192, has too few"):
            contribute(node, data)
        repeated = text[:20480] + text[4096:8192] + text[20480:]
        with tap.raises(REFUSED, "bad-contrib-pages (page 5, at byte 20480, is equal"):
            contribute(node, repeated)
        dry = contribute(node, repeated, None, True, True)
        tap.equal((dry["size"], dry["left_out"]), (len(text), [5]), "what would be contributed")
        tap.equal(node.rpc.getrawmempool(), [], "the mempool after a dry run")
        answer = contribute(node, repeated, None, True)
        tap.equal((answer["root"], answer["left_out"]), (dry["root"], [5]), "what is contributed")
        with tap.raises(-8, "without the pages left out"):
            contribute(node, bytes(80000), None, True)


def race():
    """Who is late with a copy loses it, in his own mempool and with all others, however large it is"""
    with owner_node() as first, owner_node(connect=[first]) as late:
        funded(first, late)
        late.disconnect(first)
        text = prose("race", LARGE)
        registered(first, text)
        # It knows of no original, and takes its own.
        answer = contribute(late, changed(text, 32))
        wait_until(lambda: late.height() < first.height(), "the original is first")
        late.connect(first)
        wait_for_same_tip(first, late)
        for node in (late, first):  # what it committed to may be there yet, and is of no use
            tap.true(answer["txid"] not in node.rpc.getrawmempool(), "the copy is not registered")
        with tap.raises(REFUSED, "dataset 1"):
            contribute(late, changed(text, 32))
        late.rpc.abandontransaction(answer["txid"])
        tap.equal(registered(late, prose("race again", LARGE)), 2, "number")
        wait_for_same_tip(first, late)
        tap.equal(first.rpc.listdatasets(), late.rpc.listdatasets(), "datasets")


tap.main(copies, pages, race)
