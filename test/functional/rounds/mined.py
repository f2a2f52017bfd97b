#!/usr/bin/env python3
"""Three rounds that two real nodes mine, train, disclose and merge, followed by the judge: every byte, step and state of them."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.chain import Chain
from reference.contributions import Registration
from reference.hashing import Reader, shown
from reference.headers import Block
from reference.merge import LEFT_OUT, MERGED
from reference.round_tx import COMMIT, DISCLOSURE, Round, RoundTransaction, base_of, is_round
from reference.spec import built_in
from reference.state import model_root
from reference.transactions import Transaction

FIELDS = {"name": "mined", "hrp": "rnd", "d": 16, "layers": 1, "heads": 1, "ff": 16, "ctx": 32, "batch": 1, "iterations": 1,
          "bench_rows": 1, "maturity": 15, "round_blocks": 7, "round_work": 2, "round_reveal": 3, "segments": 4, "segment": 2,
          "run_ppm": 500000}
P = FIELDS["round_blocks"]
LAST = 4 * P + 1
CONTRIBUTED = 2 * P + 4  # after this height, when a first coin is mature
DATA = prose(7, 60000)
FIRST_SHOWN = FIELDS["round_work"] + 2


class Miners:
    """Two nodes with a wallet each, who take turns."""

    def __init__(self):
        self.nodes = [Node(chain=FIELDS["name"], start=False) for _ in range(2)]
        self.payees = []
        for node in self.nodes:
            node.use_spec(FIELDS)
            node.start()
            node.rpc.createwallet("w")
            self.payees.append(node.rpc.wallet("w").getnewaddress())
        self.nodes[0].connect(self.nodes[1])

    def mine(self, height):
        turn = height % 2
        self.nodes[turn].rpc.generatetoaddress(1, self.payees[turn])
        wait_for_same_tip(*self.nodes)

    def raws(self, node):
        return [node.rpc.getrawtransaction(txid) for txid in node.rpc.getrawmempool()]

    def waiting(self, node, kind):
        """How many of the kind a mempool has."""
        found = [Transaction.read(Reader(bytes.fromhex(raw))) for raw in self.raws(node)]
        return sum(RoundTransaction.parse(one).kind == kind for one in found if is_round(one))

    def wait_for(self, kind, count):
        for node in self.nodes:
            wait_until(lambda node=node: self.waiting(node, kind) == count, f"{count} of kind {kind} are in the mempool")

    def wait_for_registration(self):
        for node in self.nodes:
            wait_until(lambda node=node: any("6a4c" in raw and b"atl\x01".hex() in raw for raw in self.raws(node)),
                       "the registration is in the mempool")

    def block(self, height):
        """And the blobs that it names."""
        node = self.nodes[0]
        raw = bytes.fromhex(node.rpc.getblock(node.rpc.getblockhash(height), 0))
        block = Block.parse(raw)
        tap.equal(block.serialise().hex(), raw.hex(), "bytes of the block")
        said = [RoundTransaction.parse(one) for one in block.transactions if is_round(one)]
        roots = [one.root for one in said if one.kind != COMMIT] + registered(block)
        return block, {root: bytes.fromhex(node.rpc.getblob(root.hex())) for root in roots}

    def contribute(self):
        """The commitment, then, behind a block, the registration."""
        wallet = self.nodes[1].rpc.wallet("w")
        wallet.contributedata(file="", licence="CC0-1.0", title="of a wallet", hexdata=DATA.hex())


def registered(block):
    scripts = [script for transaction in block.transactions[1:] for _, script in transaction.outputs]
    return [Registration.parse(script).root for script in scripts if script[:1] == b"\x6a" and b"atl\x01" in script[2:7]]


def rounds_of_nodes():
    """The judge follows three rounds of two nodes, in which every seat's run, on one dataset or the other, is true"""
    chain, miners = Chain(built_in("regtest", **FIELDS)), Miners()
    tap.equal(miners.nodes[0].rpc.getblockhash(0), shown(chain.tip().id()), "genesis")
    for height in range(1, LAST + 1):
        base = base_of(chain.spec, height)
        if base and height == base + 1:
            miners.wait_for(COMMIT, P)
        if base and height == base + FIRST_SHOWN:
            miners.wait_for(DISCLOSURE, P)
        miners.mine(height)
        chain.judge(*miners.block(height))
        tap.equal(miners.nodes[0].model_root(), shown(model_root(*chain.state())), f"state after height {height}")
        if height == CONTRIBUTED:
            miners.contribute()
        if height == CONTRIBUTED + 1:
            miners.wait_for_registration()
        if chain.merged:
            record = Round(chain.spec, chain.branch, height - P)
            tap.equal((len(record.commits), len(record.disclosures)), (P, P), "commits and disclosures of the round")
            tap.true(set(chain.merged.seats) <= {MERGED, LEFT_OUT}, f"all runs are true: {chain.merged.seats}")
    tap.equal({number for base in chain.seats for number in chain.seats[base]}, {0, 1}, "datasets of seats")
    for node in miners.nodes:
        node.stop()
        node.remove()


tap.main(rounds_of_nodes)
