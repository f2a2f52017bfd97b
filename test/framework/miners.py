"""Nodes that mine a chain with rounds in turns, and what the judge needs of its blocks.

    miners = Miners(FIELDS, 2)
    miners.mine(height)
    chain.judge(*miners.block(height))
"""

from reference.contributions import Registration
from reference.hashing import Reader
from reference.headers import Block
from reference.round_tx import COMMIT, RoundTransaction, is_round
from reference.spec import built_in
from reference.transactions import Transaction

from . import tap
from .node import Node, wait_for_same_tip, wait_until


class Miners:
    """`nodes` have a wallet each; `first` has none, and is whom all of them know. away: nodes that are stopped."""

    def __init__(self, fields, count):
        self.rules, self.first = built_in("regtest", **fields), self.start(fields, ())
        self.nodes = [self.start(fields, [self.first]) for _ in range(count)]
        self.payees, self.away = [], []
        for node in self.nodes:
            node.rpc.createwallet("w")
            self.payees.append(node.rpc.wallet("w").getnewaddress())

    @staticmethod
    def start(fields, connect):
        node = Node(chain=fields["name"], connect=connect, start=False)
        node.use_spec(fields)
        node.start()
        return node

    def present(self):
        return [self.first] + [node for node in self.nodes if node not in self.away]

    def mine(self, height):
        """Whose turn it is, or who comes next."""
        turns = [turn for turn, node in enumerate(self.nodes) if node not in self.away]
        turn = turns[height % len(turns)]
        self.nodes[turn].rpc.generatetoaddress(1, self.payees[turn])
        wait_for_same_tip(*self.present())

    def raws(self, node):
        return [node.rpc.getrawtransaction(txid) for txid in node.rpc.getrawmempool()]

    def waiting(self, node, kind):
        """How many of the kind a mempool has."""
        found = [Transaction.read(Reader(bytes.fromhex(raw))) for raw in self.raws(node)]
        return sum(RoundTransaction.parse(self.rules, one).kind == kind for one in found if is_round(one))

    def wait_for(self, kind, count):
        for node in self.present():
            wait_until(lambda node=node: self.waiting(node, kind) == count, f"{count} of kind {kind} are in the mempool")

    def block(self, height):
        """And the blobs that it names."""
        raw = bytes.fromhex(self.first.rpc.getblock(self.first.rpc.getblockhash(height), 0))
        block = Block.parse(raw)
        tap.equal(block.serialise().hex(), raw.hex(), "bytes of the block")
        said = [RoundTransaction.parse(self.rules, one) for one in block.transactions if is_round(one)]
        roots = [one.root for one in said if one.kind != COMMIT] + registered(block)
        return block, {root: bytes.fromhex(self.first.rpc.getblob(root.hex())) for root in roots}

    def end(self):
        for node in self.present():
            node.stop()
            node.remove()


def registered(block):
    scripts = [script for transaction in block.transactions[1:] for _, script in transaction.outputs]
    return [Registration.parse(script).root for script in scripts if script[:1] == b"\x6a" and b"atl\x01" in script[2:7]]
