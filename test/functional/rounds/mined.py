#!/usr/bin/env python3
"""Three rounds that two real nodes mine, train, disclose and merge, followed by the judge: every byte, step and state of them."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.miners import Miners
from framework.node import wait_until
from framework.prose import prose
from reference.chain import Chain
from reference.hashing import shown
from reference.merge import LEFT_OUT, MERGED
from reference.round_tx import COMMIT, DISCLOSURE, Round, base_of
from reference.spec import built_in
from reference.state import model_root

FIELDS = {"name": "mined", "hrp": "rnd", "d": 16, "layers": 1, "heads": 1, "ff": 16, "ctx": 32, "batch": 1, "iterations": 1,
          "bench_rows": 1, "maturity": 15, "round_blocks": 7, "round_work": 2, "round_reveal": 2, "segments": 4, "segment": 2,
          "run_ppm": 500000}
P = FIELDS["round_blocks"]
LAST = 4 * P + 1
CONTRIBUTED = 2 * P + 4  # after this height, when a first coin is mature
DATA = prose(7, 400000)
FIRST_SHOWN = FIELDS["round_work"] + 2


class Contributor(Miners):
    """The second of two has data, too."""

    def contribute(self):
        """The commitment, then, behind a block, the registration."""
        wallet = self.nodes[1].rpc.wallet("w")
        wallet.contributedata(file="", licence="CC0-1.0", title="of a wallet", hexdata=DATA.hex())

    def wait_for_registration(self):
        for node in self.present():
            wait_until(lambda node=node: any("6a4c" in raw and b"atl\x01".hex() in raw for raw in self.raws(node)),
                       "the registration is in the mempool")


def rounds_of_nodes():
    """The judge follows three rounds of two nodes, in which every seat's run, on one dataset or the other, is true"""
    chain, miners = Chain(built_in("regtest", **FIELDS)), Contributor(FIELDS, 2)
    tap.equal(miners.first.rpc.getblockhash(0), shown(chain.tip().id()), "genesis")
    for height in range(1, LAST + 1):
        base = base_of(chain.spec, height)
        if base and height == base + 1:
            miners.wait_for(COMMIT, P)
        if base and height == base + FIRST_SHOWN:
            miners.wait_for(DISCLOSURE, P)
        miners.mine(height)
        chain.judge(*miners.block(height))
        tap.equal(miners.first.model_root(), shown(model_root(*chain.state())), f"state after height {height}")
        if height == CONTRIBUTED:
            miners.contribute()
        if height == CONTRIBUTED + 1:
            miners.wait_for_registration()
        if chain.merged:
            record = Round(chain.spec, chain.branch, height - P)
            tap.equal((len(record.commits), len(record.disclosures)), (P, P), "commits and disclosures of the round")
            tap.true(set(chain.merged.seats) <= {MERGED, LEFT_OUT}, f"all runs are true: {chain.merged.seats}")
    tap.equal({number for base in chain.seats for number in chain.seats[base]}, {0, 1}, "datasets of seats")
    miners.end()


tap.main(rounds_of_nodes)
