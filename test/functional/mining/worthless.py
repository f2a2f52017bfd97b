#!/usr/bin/env python3
"""Constants and random bytes beside honest text: all are drawn, only the text is paid, and few blocks are void for them.

The chain is regtest's but for the filter that refuses pages of one byte: it is a courtesy, and this holds without it."""

import os
import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node
from framework.prose import prose
from reference.document import SOURCE
from reference.spec import built_in_fields
from reference.transactions import address

SIZE, MOST_BLOCKS = 40000, 300
FIELDS = {**built_in_fields("regtest"), "name": "worthless", "page_distinct": 0}
PAYEE = address(FIELDS["hrp"], bytes.fromhex(KEYS[0]))
RUBBISH = {"noise": random.Random(1).randbytes(SIZE), "one byte": b"a" * SIZE}


def chain_without_filter():
    node = Node(chain=FIELDS["name"], start=False)
    fields = {name: value for name, value in FIELDS.items() if name != "corpus_size"}
    node.use_spec({**fields, "corpus": os.path.join(SOURCE, "data", "genesis.txt")})
    node.start()
    return node


def datasets(node):
    return {one["title"]: one for one in node.rpc.listdatasets() if one["number"] > 0}


def rubbish():
    """Neither constants nor random bytes earn where honest text of their size does, and few blocks are void"""
    with chain_without_filter() as node:
        node.rpc.createwallet("w")
        for _ in range(len(RUBBISH) + 1):
            node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
        node.rpc.generatetoaddress(FIELDS["maturity"], PAYEE)
        for title, data in {"text": prose(1, SIZE), **RUBBISH}.items():
            node.rpc.contributedata("", "CC0-1.0", title, None, data.hex())

        def ready():
            found = datasets(node)
            return len(found) == 1 + len(RUBBISH) and found["text"]["total_paid"] > 0 and \
                all(one["total_draws"] >= 3 for one in found.values())
        while not ready():
            tap.true(node.height() < MOST_BLOCKS, f"not all were drawn and the text was not paid: {datasets(node)}")
            node.rpc.generatetoaddress(5, PAYEE)
        for title, one in datasets(node).items():
            if title != "text":
                tap.equal((one["total_paid"], one["known_draws"]), (0, 0), f"what {title} earned")
        # Four windows of reserved text are few: now and then one misses the gate by chance.
        voids = sum(node.rpc.getblock(node.rpc.getblockhash(height))["outcome"]["void"] for height in range(1, node.height() + 1))
        tap.true(4 * voids < node.height(), f"{voids} of {node.height()} blocks are void")


tap.main(rubbish)
