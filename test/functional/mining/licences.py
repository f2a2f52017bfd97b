#!/usr/bin/env python3
"""The licences of data: expressions that somebody can use, and chains that admit only some of them (doc/protocol.md
section 12)."""

import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node
from reference.contributions import Registration
from reference.transactions import Transaction, address, payee

CHANGES = {"name": "open", "hrp": "opn", "maturity": 1, "data_delay": 1000,
           "licences": ["CC0-1.0", "CC-BY-4.0", "LicenseRef-ours"]}
KEY = bytes.fromhex(KEYS[0])


def contribute(node, licence, number, **more):
    blob = random.Random(number).randbytes(40000)
    return node.rpc.contributedata(file="", licence=licence, title=f"number {number}", hexdata=blob.hex(), **more)


def raw_contribution(licence):
    """A transaction that registers data under this licence, of no coin that there is."""
    script = Registration(bytes(32), 40000, KEY, bytes(32), licence, "a title").script()
    return Transaction(2, [(b"\x01" * 32, 0, b"", 0xffffffff, [b"\x02" * 64])],
                       [(10 ** 8, script), (1000, payee(KEY))]).serialise().hex()


def registered():
    """What is not listed is refused, a slip with what was meant, unless one says so; then it is registered with a warning"""
    with Node() as node:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(4, node.rpc.getnewaddress())
        node.generate(10)
        for licence, told in (("GPL-3.0", "did you mean GPL-3.0-only or GPL-3.0-or-later?"),
                              ("MIT OR CC-BY", "did you mean CC-BY-4.0, CC-BY-3.0 or CC-BY-2.5?"),
                              ("MIT or ISC", "must be an SPDX expression"), ("CC BY 4.0", "must be an SPDX expression"),
                              ("(MIT", "must be an SPDX expression"), ("LicenseRef-", "must be an SPDX expression"),
                              ("CC-BY-9.0", "With allow_unlisted")):
            for dry in (True, False):
                with tap.raises(-8, told):
                    contribute(node, licence, 0, dry_run=dry)
        for licence, told in (("GPL-3.0", "GPL-3.0-or-later? With"), ("CC-BY-9.0", "that this node knows. With")):
            with tap.raises(-8, told):
                contribute(node, licence, 0)
        tap.equal(node.rpc.getrawmempool(), [], "the mempool after all this")
        licences = ["CC0-1.0", "MIT OR (CC-BY-4.0 AND Apache-2.0+ WITH LLVM-exception)", "LicenseRef-of-the-museum",
                    "CC-BY-9.0"]
        for number, licence in enumerate(licences):
            answer = contribute(node, licence, number, allow_unlisted=number == 3)
            expected = ["CC-BY-9.0 is not on the SPDX licence list that this node knows"] if number == 3 else []
            tap.equal(answer["warnings"], expected, f"warnings for {licence}")
        for _ in range(4):
            node.generate(1)
        tap.equal(sorted(one["licence"] for one in node.rpc.listdatasets()[1:]), sorted(licences), "licences")
        for licence in ("", "MIT AND", "a" * 65, "caf\xe9"):
            with tap.raises(-26, "bad-contrib-format"):
                node.rpc.sendrawtransaction(raw_contribution(licence))
        with tap.raises(-25, "bad-txns-inputs-missingorspent"):
            node.rpc.sendrawtransaction(raw_contribution("a" * 64))


def admitted():
    """A chain of one's own admits only what its licences permit, whoever asks"""
    node = Node(chain="open", start=False)
    node.use_spec(CHANGES)
    with node:
        node.start()
        tap.equal(node.rpc.getchainspec()["licences"], CHANGES["licences"], "the spec as the node tells it")
        node.rpc.createwallet("w")
        for _ in range(4):
            node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
        node.rpc.generatetoaddress(2, address("opn", KEY))
        for licence in ("MIT", "CC0-1.0 AND MIT", "CC-BY-SA-4.0", "LicenseRef-theirs"):
            with tap.raises(-8, "does not admit"):
                contribute(node, licence, 0)
            with tap.raises(-26, "bad-contrib-licence"):
                node.rpc.sendrawtransaction(raw_contribution(licence))
        licences = ["MIT OR cc0-1.0", "LicenseRef-ours AND CC-BY-4.0+"]
        for number, licence in enumerate(licences):
            contribute(node, licence, number)
            with tap.raises(-25, "bad-txns-inputs-missingorspent"):
                node.rpc.sendrawtransaction(raw_contribution(licence))
        for _ in range(4):
            node.rpc.generatetoaddress(1, address("opn", KEY))
        tap.equal(sorted(one["licence"] for one in node.rpc.listdatasets()[1:]), sorted(licences), "licences")


def misspelt():
    """A chain whose spec names a licence that nobody can write does not begin; one that names none admits all"""
    node = Node(chain="open", start=False)
    with node:
        for licences, told in ((["GPL-3.0"], "did you mean GPL-3.0-only or GPL-3.0-or-later?"),
                               (["CC0-1.0", "Apache2.0"], "did you mean Apache-2.0"), (["MIT OR ISC"], "must hold SPDX ids")):
            node.use_spec(CHANGES | {"licences": licences})
            node.launch()
            tap.true(node.wait_for_exit() != 0, f"it starts with {licences}")
            with open(node.output_path, encoding="utf-8") as file:
                tap.true(told in file.read(), f"what it says of {licences}")
        node.use_spec(CHANGES | {"licences": []})
        node.start()
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(2, node.rpc.getnewaddress())
        node.rpc.generatetoaddress(1, address("opn", KEY))
        for number, licence in enumerate(("GPL-3.0-only", "LicenseRef-theirs")):
            contribute(node, licence, number, dry_run=True)


tap.main(registered, admitted, misspelt)
