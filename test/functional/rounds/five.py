#!/usr/bin/env python3
"""Three nodes that mine and one that has no wallet go through five rounds. Some seats stay empty, some are struck, and a node is
killed just after a merge: all agree with the judge about verdicts, models and coins."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.miners import Miners
from framework.node import wait_for_same_tip, wait_until
from reference.chain import Chain
from reference.hashing import shown
from reference.merge import EMPTY, STRUCK, is_true
from reference.reward import run_pay, subsidy
from reference.round_tx import COMMIT, DISCLOSURE, base_of
from reference.spec import built_in
from reference.state import model_root
from reference.transactions import address

FIELDS = {"name": "five", "hrp": "rnd", "d": 16, "layers": 1, "heads": 1, "ff": 16, "ctx": 32, "batch": 1, "iterations": 1,
          "bench_rows": 1, "maturity": 13, "halving": 10, "round_blocks": 6, "round_work": 2, "round_reveal": 1, "segments": 9,
          "segment": 1, "run_ppm": 500000, "first_segments": 1}
P = FIELDS["round_blocks"]
FIRST_SHOWN = FIELDS["round_work"] + 2
ROUNDS = 5
LAST = (ROUNDS + 1) * P + 1
MINERS = ABSENT, IDLE, KILLED = range(3)
IDLE_ROUND, ABSENT_ROUND = 2 * P, 3 * P  # their bases
LIMITS = [1, 4, 9, 9, 9]  # segments that a run of each round may have
COIN = 10 ** 8
SHOWN = ["empty", "merged", "left out", "struck"]  # of enum merge_seat


class Rounds:
    def __init__(self):
        self.chain, self.miners = Chain(built_in("regtest", **FIELDS)), Miners(FIELDS, len(MINERS))

    def miner_of(self, height):
        return address(FIELDS["hrp"], self.chain.branch[height].header.miner)

    def seats_of(self, miner, base):
        """Heights of the seats of a round that are this miner's."""
        return [height for height in range(base - P + 1, base + 1) if self.miner_of(height) == self.miners.payees[miner]]

    def without(self, base, *miners):
        """How many seats are others'."""
        return P - sum(len(self.seats_of(miner, base)) for miner in miners)

    def before(self, base, height):
        """What happens, and is waited for, before a block of a round."""
        miners, idle, absent = self.miners, self.miners.nodes[IDLE], self.miners.nodes[ABSENT]
        if base and height == base + 1:
            miners.wait_for(COMMIT, self.without(base, IDLE) if base == IDLE_ROUND else P)
        if base and height == base + FIRST_SHOWN:
            left_out = {IDLE_ROUND: [IDLE], ABSENT_ROUND: [ABSENT]}.get(base, [])
            miners.wait_for(DISCLOSURE, self.without(base, *left_out))
        if height == IDLE_ROUND:
            idle.restart("-wallet=w", "-run=0")
        if height == IDLE_ROUND + FIRST_SHOWN + 1:
            idle.restart("-wallet=w")  # too late for a commitment
        if height == ABSENT_ROUND + FIRST_SHOWN - 1:
            absent.stop()
            miners.away.append(absent)
        if height == ABSENT_ROUND + P:
            miners.away.remove(absent)
            absent.start("-wallet=w")
        wait_for_same_tip(*miners.present())

    def after(self, height):
        miners, killed = self.miners, self.miners.nodes[KILLED]
        if height == 5 * P:
            killed.kill()
            killed.start("-wallet=w")
        for node in miners.present():
            tap.equal(node.tip(), shown(self.chain.tip().id()), f"tip at height {height}")
            tap.equal(node.model_root(), shown(model_root(*self.chain.state())), f"state after height {height}")

    def expected(self, base):
        """What becomes of each seat: EMPTY, STRUCK, or None where its run is true."""
        idle = self.seats_of(IDLE, base) if base == IDLE_ROUND else []
        absent = self.seats_of(ABSENT, base) if base == ABSENT_ROUND else []
        return [EMPTY if height in idle else STRUCK if height in absent else None for height in range(base - P + 1, base + 1)]

    def check_merge(self, base, merged, seats):
        """All nodes know what the judge found, and that the tip has paid it."""
        tap.equal([None if is_true(seat) else seat for seat in merged.seats], self.expected(base), f"the round of {base}")
        for node in self.miners.present():
            told = node.rpc.getround(base)
            tap.equal(told["void"], bool(merged.void), "void")
            tap.equal(told["segments"], LIMITS[base // P - 1], "how long a run may be")
            tap.equal([seat["state"] for seat in told["seats"]], [SHOWN[seat] for seat in merged.seats], "verdicts")
            tap.equal([seat["paid"] for seat in told["seats"]], [is_true(seat) for seat in merged.seats], "paid")
        lengths = {length for _, length, _, seat in seats if is_true(seat)}
        tap.true(max(lengths) == LIMITS[base // P - 1], f"a run of all the round's segments: {lengths}")
        self.check_pay(seats)

    def check_pay(self, seats):
        child = self.miners.first.rpc.getblock(self.miners.first.tip(), 2)
        wanted = [(height, address(FIELDS["hrp"], key), run_pay(self.chain.spec, height, length))
                  for height, length, key, seat in seats if is_true(seat)]
        tap.equal([(pay["seat"], pay["miner"], int(pay["amount"] * COIN)) for pay in child["run_payments"]], wanted, "pay of runs")

    def check_coins(self):
        """Every node has the judge's, of which there are never more than the subsidies; every wallet has its own."""
        chain, amounts = self.chain, {}
        for coin in chain.coins.values():
            owner = address(FIELDS["hrp"], coin.script[2:])
            amounts[owner] = amounts.get(owner, 0) + coin.amount
        total = sum(amounts.values())
        tap.true(total <= sum(subsidy(chain.spec, height) for height in range(1, chain.height() + 1)), "more than the subsidies")
        for node in self.miners.present():
            tap.equal(int(node.rpc.gettxoutsetinfo()["total_amount"] * COIN), total, "all coins")
        for miner in MINERS:
            wanted = amounts[self.miners.payees[miner]]
            wait_until(lambda miner=miner, wanted=wanted: self.balance(miner) == wanted, f"miner {miner} has {wanted}")

    def balance(self, miner):
        return int(sum(self.miners.nodes[miner].rpc.wallet("w").getbalances()["mine"].values()) * COIN)


def five_rounds():
    """Four nodes and the judge agree over five rounds; true runs are paid exactly, and others are not"""
    rounds, merged, seats = Rounds(), None, []
    chain = rounds.chain
    tap.true(chain.spec.has_right_rounds(), "the spec is within its limits")
    for height in range(1, LAST + 1):
        rounds.before(base_of(chain.spec, height), height)
        rounds.miners.mine(height)
        chain.judge(*rounds.miners.block(height))
        rounds.after(height)
        if merged:
            rounds.check_merge(height - P - 1, merged, seats)
            rounds.check_coins()
        merged, seats = chain.merged, chain.merged_round()
    rounds.miners.end()


tap.main(five_rounds)
