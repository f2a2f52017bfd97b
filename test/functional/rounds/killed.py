#!/usr/bin/env python3
"""kill -9 in every phase of a round, of who mines and of who only validates: before the base, while runs are trained, between
commits, beacon and disclosures, in the middle of audits and of the merge, and after it. No work and no verdict is another for
that; only who never comes back loses his stake."""

import http.client
import sys
import threading
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError, wait_for_same_tip, wait_until
from framework.rounds import SPEC
from reference.transactions import address

# Each phase lasts, and a block too many after a kill does not close the window of commits.
SLOW = {**SPEC, "maturity": 21, "round_blocks": 10, "round_work": 5, "round_reveal": 2, "segment": 96, "bench_rows": 64}
P = SLOW["round_blocks"]
BEACON = P + SLOW["round_work"] + 1
MERGE, CHILD = 2 * P, 2 * P + 1
GONE, MINER = range(1, 3), range(3, P + 1)  # heights of their seats
STRANGER = address(SLOW["hrp"], bytes.fromhex(KEYS[0]))
FIRST_PAUSE, LONGER = 0.05, 1.6  # seconds from a start to a kill, and how much longer the next one waits


class Victim(Node):
    """wallet: it mines for one, and trains what it mined."""

    def __init__(self, wallet=False, connect=()):
        super().__init__("-debug=model", chain=SLOW["name"], connect=connect, start=False)
        self.use_spec(SLOW)
        self.start()
        if wallet:
            self.rpc.createwallet("w")
            self.own = self.rpc.getnewaddress()
            self.options.append("-wallet=w")

    def kill_and_start(self):
        self.kill()
        self.start()

    def kill_until(self, reached, begin=lambda process: None):
        """Kills it, and again, each time a little later, be it still starting, until it gets there in between. begin: has it
        go about it, as long as that process lives."""
        pause, there = FIRST_PAUSE, False
        self.kill()
        while not there:
            self.launch()
            call = threading.Thread(target=begin, args=(self.process,))
            call.start()
            end = time.monotonic() + pause
            while not there and time.monotonic() < end:
                time.sleep(min(pause / 4, 0.05))
                there = self.answers() and reached()
            if not there:
                self.kill()
                pause *= LONGER
            call.join()

    def mine_through_kills(self, height, payee, others=()):
        """To that height or one more, if a block was found before a kill and verified after it. Others do not look on: they
        might take another block of that height first."""
        for other in others:
            other.kill()
        self.kill_until(lambda: self.height() >= height, lambda process: self.try_mining(height, payee, process))
        for other in others:
            other.start()
        wait_for_same_tip(self, *others)

    def try_mining(self, height, payee, process):
        while process.poll() is None:
            try:
                self.mine_to(height, payee)
                return
            except (OSError, RpcError, ValueError, http.client.HTTPException):
                time.sleep(0.02)  # it is starting, or was killed

    def mine_to(self, height, payee=STRANGER):
        while self.height() < height:
            self.rpc.generatetoaddress(1, payee)

    def runs(self, what):
        return {run["height"]: run.get(what) for run in self.rpc.getruns()}

    def are(self, heights, state):
        return all(self.runs("state").get(height) == state for height in heights)

    def has_audited(self, heights):
        """Whether there is a verdict on each, by this process or by one before it."""
        told = self.log()
        return all(f"of the run of seat {height} is right" in told for height in heights)

    def audits(self):
        return self.log().count("of the run of seat")

    def offers(self, count):
        wait_until(lambda: self.rpc.getmempoolinfo()["size"] == count, f"{count} transactions are in the mempool")

    def facts(self):
        told = self.rpc.getround(P)
        for seat in told["seats"]:
            del seat["own"]
        return {"tip": self.tip(), "model_root": self.model_root(), "coins": self.rpc.gettxoutsetinfo(), "round": told}


def prepared():
    """Who mines, who validates beside him, and who will go after his commits. The next block is the base."""
    miner = Victim(wallet=True)
    validator, gone = Victim(connect=[miner]), Victim(wallet=True, connect=[miner])
    gone.mine_to(GONE[-1], gone.own)
    wait_for_same_tip(miner, gone)
    miner.mine_to(MINER[-2], miner.own)
    wait_for_same_tip(miner, validator, gone)
    return miner, validator, gone


def until_disclosed(miner, validator, gone):
    """From the base to the disclosures; the trace roots."""
    miner.mine_through_kills(P, miner.own, [validator, gone])
    miner.kill_until(lambda: miner.are(MINER, "committing"))
    roots = miner.runs("trace_root")
    wait_until(lambda: gone.are(GONE, "committing"), "the other runs are trained")
    miner.offers(P)
    validator.kill_and_start()
    miner.mine_to(miner.height() + 1)
    wait_for_same_tip(miner, validator, gone)
    gone.kill()  # for good
    for one in miner, validator:
        one.kill_and_start()
    wait_until(lambda: miner.are(MINER, "committed"), "they are committed to")
    miner.mine_to(BEACON)
    for _ in range(2):
        miner.offers(len(MINER))
        miner.kill_and_start()
    validator.offers(len(MINER))
    validator.kill_and_start()
    miner.offers(len(MINER))
    miner.mine_to(BEACON + 1)
    return roots


def every_phase():
    """A round in each of whose phases the miner and the validator are killed ends as if they were not"""
    miner, validator, gone = prepared()
    roots = until_disclosed(miner, validator, gone)
    # Audits. What one process has found out the next one knows.
    audits = {}
    for one in validator, miner:
        wait_until(lambda one=one: one.height() == miner.height(), "the disclosures are there")
        one.kill_until(lambda one=one: one.has_audited(MINER))
        one.height()  # it answers when the last one is in the database too
        audits[one] = one.audits()
        one.kill_and_start()
    miner.mine_to(MERGE - 1)
    wait_for_same_tip(miner, validator)
    tap.equal(miner.runs("state"), dict.fromkeys(MINER, "disclosed"), "the runs")
    tap.equal(miner.runs("trace_root"), roots, "what was trained between the kills")
    # The merge and its child.
    miner.mine_through_kills(MERGE, STRANGER)
    validator.kill_until(lambda: validator.height() >= MERGE)
    for one in miner, validator:
        one.kill_and_start()
    miner.mine_through_kills(CHILD, STRANGER, [validator])
    for one in miner, validator:
        one.kill_and_start()
    wait_for_same_tip(miner, validator)
    late = Victim(connect=[miner])
    wait_for_same_tip(late, miner)
    known = late.facts()
    tap.equal({one: one.audits() for one in audits}, audits, "segments that were executed again")
    for one in miner, validator:
        tap.equal(one.facts(), known, "what is known of the round, by who was killed")
        audit = one.rpc.auditblock(one.rpc.getblockhash(MERGE))
        tap.true(audit["valid"], f"the audit of the merge: {audit}")
    seats = known["round"]["seats"]
    tap.equal([seat["state"] == "struck" for seat in seats], [True] * len(GONE) + [False] * len(MINER), "struck seats")
    tap.equal([seat["paid"] for seat in seats], [False] * len(GONE) + [True] * len(MINER), "paid seats")
    for one in miner, validator, gone, late:
        one.remove()


tap.main(every_phase)
