#!/usr/bin/env python3
"""A node trains the runs of its wallet's blocks by itself, commits to them and discloses what is drawn: through kills,
with a locked wallet, with a trace that is lost, over a reorganisation (doc/protocol.md section 20)."""

import errno
import os
import shutil
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, wait_until
from framework.p2p import Peer
from framework.rounds import (BEACON, SPEC, WORK_END, P, commit_runs, disclose_runs, kill_and_restart, mine_to, new_node,
                              play_round, states, wait_for_offers, wait_for_state, with_wallet)
from reference.hashing import blob_root, sha256
from reference.headers import Block
from reference.round_tx import DISCLOSURE, RoundTransaction, make_commit
from reference.runs import audited, digest_list, first_code, make_disclosure
from reference.spec import built_in
from reference.transactions import address

KEPT = 100  # blocks past the merge
SLOW = {**SPEC, "segments": 24, "segment": 64}  # long enough to be interrupted
STRANGER = address(SPEC["hrp"], bytes.fromhex(KEYS[0]))
PASSPHRASE = "open sesame"
FAULTS = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "test", "functional", "faults.so")
OPEN = 8  # test/unit/faults.h


def header_at(node, height):
    return Block.parse(bytes.fromhex(node.rpc.getblock(node.rpc.getblockhash(height), 0))).header


def traces(node):
    return {run["height"]: run["trace_root"] for run in node.rpc.getruns()}


def assert_disclosed(node, roots):
    seats = [seat for seat in node.rpc.getround(P)["seats"] if seat["height"] in roots]
    tap.equal({seat["height"]: seat["trace_root"] for seat in seats}, roots, "what was committed to")
    tap.equal({seat["state"] for seat in seats}, {"disclosed"}, "states")
    tap.true(all(seat["own"] for seat in seats), "they are this node's own")
    for seat in seats:
        audit = node.rpc.auditrun(seat["height"])
        tap.equal([segment["segment"] for segment in audit["segments"]], [seat["drawn_segment"]], "what is audited")
        tap.true(audit["valid"], "the drawn segment is right")


def trained_committed_disclosed():
    """Who mined a block trains its run, commits to it and discloses it, several at a time"""
    node = with_wallet("-threads=3")
    tap.equal(node.rpc.getrounds(), [], "rounds before the first base")
    with tap.raises(-1, "No round has begun"):
        node.rpc.getround()
    mine_to(node, P - 1)
    tap.equal(node.rpc.getruns(), [], "runs before it")
    commit_runs(node)
    tap.equal(node.rpc.gettraininginfo()["runs"], {"committed": P, "working": 0, "segments_done": P * SPEC["segments"]},
              "how far they are")
    tap.equal(node.rpc.getrounds()[0]["seats"], {"committed": P}, "seats")
    roots = traces(node)
    tap.equal(len(set(roots.values())), P, "different traces")
    disclose_runs(node)
    assert_disclosed(node, roots)
    tap.equal(node.rpc.getrounds()[0]["seats"], {"disclosed": P}, "seats then")


def all_segments_can_be_audited():
    """An own run is audited from its trace, another's from the disclosure or from the base on"""
    node = with_wallet()
    other = new_node()
    other.connect(node)
    commit_runs(node)
    tap.true(node.rpc.auditrun(3)["segments"][0]["segment"] == SPEC["segments"] - 1, "the last of the trace")
    disclose_runs(node)
    other.wait_for_height(node.height())
    tap.equal(other.rpc.getruns(), [], "runs of a node without a wallet")
    seat = other.rpc.getround(P)["seats"][2]
    drawn = seat["drawn_segment"]
    digests = other.rpc.getround(P, True)["seats"][2]["digests"]
    tap.equal(sha256(b"".join(map(bytes.fromhex, digests))).hex(), seat["trace_root"], "H of the digests")
    for segment in range(SPEC["segments"]):
        executed = other.rpc.auditrun(seat["height"], segment)
        first = drawn if segment >= drawn else 0
        tap.equal([one["segment"] for one in executed["segments"]], list(range(first, segment + 1)), "executed")
        tap.equal(executed["segments"][-1]["digest"], digests[segment], "the digest")
        tap.true(executed["valid"] and executed["disclosed"] and not executed["own"], "it is right, and another's")
        tap.equal([one["segment"] for one in node.rpc.auditrun(seat["height"], segment)["segments"]], [segment],
                  "of an own one")
    with tap.raises(-1, "it has stated"):
        other.rpc.auditrun(seat["height"], SPEC["segments"])
    with tap.raises(-1, f"has not begun: it begins after block {-(-other.height() // P) * P}"):
        other.rpc.auditrun(other.height())
    with tap.raises(-1, f"no block of this height: the newest has {other.height()}"):
        other.rpc.auditrun(other.height() + 1)
    with tap.raises(-1, "no block of this height"):
        other.rpc.auditrun(2**32 - 1)


def kills_cost_one_segment():
    """A run goes on where a kill interrupted it, in whatever phase"""
    node = with_wallet(spec=SLOW)
    mine_to(node, P - 2, STRANGER)
    mine_to(node, P)
    for least in (1, 6, 12):
        wait_until(lambda: any(run["segments_done"] >= least for run in node.rpc.getruns()), "a run has begun")
        before = {run["height"]: run["segments_done"] for run in node.rpc.getruns()}
        kill_and_restart(node)
        for run in node.rpc.getruns():
            tap.true(run["segments_done"] >= before[run["height"]], "nothing that was done is lost")
    wait_for_state(node, "committing", runs=2)
    roots = traces(node)
    kill_and_restart(node)
    wait_for_state(node, "committing", runs=2)
    wait_for_offers(node, 2)
    tap.equal(traces(node), roots, "traces")
    mine_to(node, P + 1)
    wait_for_state(node, "committed", runs=2)
    kill_and_restart(node)
    mine_to(node, P + BEACON)
    wait_for_offers(node, 2)
    kill_and_restart(node)
    wait_for_state(node, "disclosing", runs=2)
    disclose_runs(node, 2)
    kill_and_restart(node)
    wait_for_state(node, "disclosed", runs=2)
    assert_disclosed(node, roots)
    # Through the kills no segment came out differently from what executing all in one go gives.
    tap.true(node.rpc.auditrun(P, SLOW["segments"] - 1)["valid"], "the last segment")


def runs_end_with_the_window():
    """Who is slow commits to what he has when the window closes, and is paid for that"""
    node = with_wallet(spec=SLOW)
    mine_to(node, P)
    wait_until(lambda: any(run["segments_done"] >= 2 for run in node.rpc.getruns()), "a run has begun")
    tap.true(all("length" not in run for run in node.rpc.getruns()), "they go on")
    mine_to(node, P + 1)
    wait_for_offers(node)
    lengths = {run["height"]: run["length"] for run in node.rpc.getruns()}
    tap.true(min(lengths.values()) >= 1 and max(lengths.values()) >= 2, f"segments of each run: {lengths}")
    tap.true(min(lengths.values()) < SLOW["segments"], f"not all runs are whole: {lengths}")
    kill_and_restart(node)
    wait_for_offers(node)
    tap.equal({run["height"]: run["length"] for run in node.rpc.getruns()}, lengths, "lengths")
    roots = traces(node)
    mine_to(node, P + WORK_END)
    wait_for_state(node, "committed")
    disclose_runs(node)
    assert_disclosed(node, roots)
    mine_to(node, 2 * P + 1)
    seats = node.rpc.getround(P)["seats"]
    tap.equal({seat["height"]: seat["length"] for seat in seats}, lengths, "what was committed to")
    whole = 5000000000 * 7 // 10 * SLOW["run_ppm"] // 10 ** 6
    paid = node.rpc.getblock(node.tip())["run_payments"]
    tap.equal([(pay["seat"], round(pay["amount"] * 10 ** 8)) for pay in paid],
              [(height, whole * length // SLOW["segments"]) for height, length in sorted(lengths.items())], "pay by segments")
    tap.equal([seat["pay"] for seat in seats], [pay["amount"] for pay in paid], "as it was told")


def traces_need_a_disk():
    """Runs whose traces cannot be written say so, in a warning too, and go on when they can"""
    node = with_wallet()
    folder = os.path.join(node.chaindir, "runs")
    with open(folder, "wb"):  # in the place of the folder
        pass
    mine_to(node, P)
    wait_until(lambda: len(node.rpc.getruns()) == P and any("problem" in run for run in node.rpc.getruns()), "they say so")
    wait_until(lambda: any("trace cannot be written" in text for text in node.rpc.getblockchaininfo()["warnings"]), "a warning")
    tap.true(all(run["state"] == "training" for run in node.rpc.getruns()), "all are still to be trained")
    os.remove(folder)
    wait_for_offers(node)
    tap.equal(node.rpc.getblockchaininfo()["warnings"], [], "warnings")
    mine_to(node, P + 1)
    wait_for_state(node, "committed")


def signatures_need_a_disk():
    """A signature that cannot be written is told as that, and not as a locked wallet"""
    if not os.path.exists(FAULTS):
        raise tap.Skip("faults.so has not been built")
    node = with_wallet()
    node.stop()
    control = os.path.join(node.root, "faults")
    node.environment = {"LD_PRELOAD": FAULTS, "FAULTS": control}

    def set_fault(text):
        with open(control, "w", encoding="utf-8") as file:
            file.write(text)

    set_fault(f"{OPEN} {errno.ENOSPC} 0 0 0 /signature")
    node.start("-wallet=w")
    mine_to(node, P)
    wait_for_state(node, "training")
    wait_until(lambda: all("No space left" in run.get("problem", "") for run in node.rpc.getruns()), "all say so")
    wait_for_state(node, "training")
    warnings = node.rpc.getblockchaininfo()["warnings"]
    tap.true(len(warnings) == 1 and "trace cannot be written" in warnings[0], f"the warning: {warnings}")
    set_fault("0 0 0 0 0 -")
    wait_for_offers(node)
    tap.equal(node.rpc.getblockchaininfo()["warnings"], [], "warnings")


def locked_wallet_is_waited_for():
    """A locked wallet's runs are trained, and wait for it with a warning"""
    node = with_wallet(passphrase=PASSPHRASE)
    mine_to(node, P)
    wait_for_state(node, "wallet locked")
    tap.true(any("unlocked" in text and f"until block {P + WORK_END}" in text
                 for text in node.rpc.getnetworkinfo()["warnings"]), "the warning names the deadline")
    mine_to(node, P + WORK_END - 1)
    wait_for_state(node, "wallet locked")
    node.rpc.walletpassphrase(PASSPHRASE, 600)
    wait_for_state(node, "committing")
    tap.equal(node.rpc.getnetworkinfo()["warnings"], [], "warnings")
    node.rpc.walletlock()
    wait_for_offers(node)
    mine_to(node, P + WORK_END)
    wait_for_state(node, "committed")
    disclose_runs(node)  # nobody has to sign that
    # In the next round nobody comes in time: nothing is lost but the pay.
    mine_to(node, 2 * P)
    wait_for_state(node, "wallet locked", 2 * P)
    mine_to(node, 2 * P + WORK_END)
    wait_for_state(node, "missed", 2 * P)
    tap.equal({(seat["state"], seat["pay"]) for seat in node.rpc.getround(2 * P)["seats"]}, {("empty", 0)}, "the seats")
    unsigned = "its commit was not signed in time (a locked wallet, or a node that was off?): its seat stays empty"
    tap.equal({run["problem"] for run in node.rpc.getruns() if run["base"] == 2 * P}, {unsigned}, "they say so")
    told = f"The round from block {2 * P} on: seats of this node that stay empty: {P} "
    tap.equal(node.log().count(told), 1, "and the log does, once for all")


def wait_until_over(node, base):
    """All its runs were true."""
    wait_until(lambda: len(states(node, base)) == P and set(states(node, base)) <= {"merged", "left out"}, "it is merged")


def run_0_begins_nothing():
    """With -run=0 nothing is begun, and what was committed to is disclosed all the same"""
    node = with_wallet("-run=0")
    mine_to(node, P + WORK_END)
    tap.equal(node.rpc.getruns(), [], "runs")
    tap.true(not os.path.exists(os.path.join(node.chaindir, "runs")), "no trace is begun")
    node.stop()
    other = with_wallet()
    commit_runs(other)
    roots = traces(other)
    other.restart("-wallet=w", "-run=0")
    disclose_runs(other)
    assert_disclosed(other, roots)
    mine_to(other, 2 * P + 1)
    tap.equal(states(other, 2 * P), [], "runs of the next round")
    # Traces are kept until no reorganisation can ask for them.
    other.rpc.generatetoaddress(2 * P + KEPT - 1 - other.height(), STRANGER)
    wait_until_over(other, P)
    mine_to(other, 2 * P + KEPT, STRANGER)
    wait_until(lambda: other.rpc.getruns() == [], "they are gone")
    tap.equal(os.listdir(os.path.join(other.chaindir, "runs")), [], "what is left of them on disk")


def lost_traces_are_trained_again():
    """What was committed to is trained again where its trace is lost or damaged"""
    node = with_wallet()
    commit_runs(node)
    roots = traces(node)
    node.stop()
    folder = os.path.join(node.chaindir, "runs")
    names = sorted(os.listdir(folder))
    tap.equal(len(names), P, "folders")
    shutil.rmtree(os.path.join(folder, names[0]))
    with open(os.path.join(folder, names[1], "2"), "r+b") as file:
        file.seek(100)
        file.write(b"damage")
    os.remove(os.path.join(folder, names[2], "run"))
    node.start("-wallet=w")
    wait_for_state(node, "committed")
    tap.equal(traces(node), roots, "the same traces")
    # While it runs: the file that the disclosure needs goes.
    for name in names:
        os.remove(os.path.join(folder, name, str(SPEC["segments"])))
    disclose_runs(node)
    assert_disclosed(node, roots)


def reorganisation_begins_anew():
    """Another base, other runs; the old traces serve again when their branch comes back"""
    node = with_wallet()
    mine_to(node, P)
    wait_for_state(node, "committing")
    roots = traces(node)
    base = node.tip()
    wait_for_offers(node)
    mine_to(node, P + 1)
    wait_for_state(node, "committed")
    node.rpc.invalidateblock(base)
    tap.equal(node.height(), P - 1, "height")
    wait_until(lambda: {run["state"] for run in node.rpc.getruns()} == {"other branch"}, "they are of another branch")
    mine_to(node, P)
    wait_until(lambda: [run["state"] for run in node.rpc.getruns() if run["basehash"] == node.tip()] ==
               ["committing"] * P, "those of the new base are trained")
    tap.equal({run["state"] for run in node.rpc.getruns() if run["basehash"] == base}, {"other branch"}, "the old")
    node.rpc.invalidateblock(node.tip())
    node.rpc.reconsiderblock(base)
    wait_until(lambda: node.height() == P + 1, "the old branch is back")
    wait_until(lambda: {run["state"] for run in node.rpc.getruns() if run["basehash"] == base} == {"committed"},
               "its runs are committed to")
    tap.equal({run["height"]: run["trace_root"] for run in node.rpc.getruns() if run["basehash"] == base}, roots,
              "its traces")
    # A block with commits goes: they are sent again.
    node.rpc.invalidateblock(node.tip())
    wait_until(lambda: {run["state"] for run in node.rpc.getruns() if run["basehash"] == base} == {"committing"},
               "they wait for a block again")
    wait_for_offers(node)
    mine_to(node, P + 1)
    wait_until(lambda: {run["state"] for run in node.rpc.getruns() if run["basehash"] == base} == {"committed"},
               "another block has them")


def runs_are_merged_and_paid():
    """Round after round the runs are merged into the model and paid"""
    node = with_wallet()
    for base in (P, 2 * P, 3 * P):
        play_round(node, base)
        wait_until_over(node, base)
    mine_to(node, 4 * P + 1)
    earned = []
    rounds = node.rpc.getrounds()
    tap.equal([one["base"] for one in rounds], [4 * P, 3 * P, 2 * P, P], "rounds")
    tap.equal([one["over"] for one in rounds], [False, True, True, True], "over")
    for one in rounds[1:]:
        tap.equal((one["seats"]["struck"], one["seats"]["empty"]), (0, 0), "struck and empty seats")
        tap.true(not one["void"] and one["seats"]["merged"] > 0, "runs are merged")
        tap.true(one["loss_after"] < one["loss_before"], "the model gains by them")
        seats = node.rpc.getround(one["base"])["seats"]
        tap.true(all(seat["paid"] and seat["pay"] > 0 for seat in seats), "each is paid")
        told = [run for run in node.rpc.getruns() if run["base"] == one["base"]]
        tap.equal([(run["state"], run["pay"], run["paid"], run["pay_height"]) for run in told],
                  [(seat["state"], seat["pay"], True, one["merge"] + 1) for seat in seats], "as each run tells")
        tap.true(all(run["trace_bytes"] > 0 for run in told), "bytes kept")
        child = node.rpc.getblock(node.rpc.getblockhash(one["base"] + P + 1), 2)
        paid = [output["value"] for output in child["tx"][0]["vout"]]
        for seat in seats:
            paid.remove(seat["pay"])  # each has an output of its own
        earned += [seat["pay"] for seat in seats]
        node.wait_for_log(f"block {one['merge']} merges the runs of {P} seats: {one['seats']['merged']} merged")
    listed = [one["amount"] for one in node.rpc.listtransactions("*", 1000) if one["reward"] == "run"]
    tap.equal(sorted(listed), sorted(earned), "what the wallet tells, of immature ones too")
    # Others who fetch all of it come to the same model, and so does this node out of its own files.
    other = new_node()
    other.connect(node)
    other.wait_for_height(node.height())
    wait_until(lambda: other.model_root() == node.model_root(), "the model is the same")
    root = node.model_root()
    kill_and_restart(node)
    tap.equal(node.model_root(), root, "the model after a kill")
    tap.true(all(node.rpc.auditrun(height)["valid"] for height in (1, P + 1, 3 * P)), "runs of each round are right")


def silence_is_struck():
    """Who has committed and does not disclose loses what his blocks earned, and no more than that"""
    node = with_wallet()
    commit_runs(node)
    coins = [{"txid": node.rpc.getblock(node.rpc.getblockhash(height), 1)["tx"][0], "n": 0}
             for height in range(1, P + 2)]
    tap.true(all(node.rpc.gettxout(coin["txid"], 0) for coin in coins), "the coins are there")
    node.rpc.unloadwallet("w", load_on_startup=False)
    node.stop()
    runs, away = os.path.join(node.chaindir, "runs"), os.path.join(node.root, "runs")
    shutil.move(runs, away)
    node.start()
    mine_to(node, 2 * P - 1, STRANGER)
    node.stop()
    shutil.move(away, runs)
    node.start()
    why = "no block had its disclosure in time, and what its block earned is lost"
    wait_until(lambda: [run.get("problem") for run in node.rpc.getruns()] == [why] * P, "it is too late")
    node.wait_for_log(f"The run of block {P} is struck: {why}")
    mine_to(node, 2 * P, STRANGER)
    tap.equal([(run["state"], run["pay"], run["problem"]) for run in node.rpc.getruns()], [("struck", 0, why)] * P, "the runs")
    node.restart()
    tap.equal([run["problem"] for run in node.rpc.getruns() if run["base"] == P], [why] * P, "after a restart")
    tap.equal({seat["state"] for seat in node.rpc.getround(P)["seats"]}, {"struck"}, "the seats")
    tap.equal([one["seats"] for one in node.rpc.getrounds()],
              [{"open": P}, {"empty": 0, "merged": 0, "left out": 0, "struck": P}], "the next round's and theirs")
    tap.true(all(node.rpc.gettxout(coin["txid"], 0) for coin in coins), "they are until the verdict is stated")
    mine_to(node, 2 * P + 1, STRANGER)
    tap.equal([node.rpc.gettxout(coin["txid"], 0) is not None for coin in coins], [False] * P + [True], "left")
    tap.equal([seat["paid"] for seat in node.rpc.getround(P)["seats"]], [False] * P, "paid")
    node.stop()
    shutil.rmtree(runs)
    node.start()
    node.rpc.loadwallet("w")
    wait_until(lambda: len(node.rpc.listunspent(0)) == 0, "nothing is to be spent")
    tap.equal([run for run in node.rpc.getruns() if run["base"] == P], [], "nothing is trained any more")
    tap.true(all(seat["own"] for seat in node.rpc.getround(P)["seats"]), "the seats are its own without traces")


def false_segments_are_challenged():
    """Who audits a disclosed run and finds a segment false can challenge it, which strikes the run"""
    node, other = new_node("-run=0"), new_node()
    other.connect(node)
    seat, rules = 3, built_in("regtest", **SPEC)
    codes = [first_code(rules)]
    for number in range(SPEC["segments"]):  # nobody has trained these
        codes.append(codes[0][:1] + bytes([number + 1]) + codes[0][2:])
    mine_to(node, P, STRANGER)
    ids = header_at(node, P).id(), header_at(node, seat).id()
    commit = make_commit(1, *ids, seat, len(codes) - 1, sha256(digest_list(codes)))
    node.rpc.sendrawtransaction(commit.transaction().serialise().hex())
    mine_to(node, P + BEACON, STRANGER)
    drawn = audited(header_at(node, P + BEACON).ticket(), len(codes) - 1, seat - 1)
    blob = make_disclosure(codes, drawn)
    disclosure = RoundTransaction(DISCLOSURE, seat, len(codes) - 1, blob_root(blob)).transaction()
    with Peer(node) as peer:
        peer.send("tx", disclosure.serialise())
        peer.give(blob_root(blob), blob)
        wait_until(lambda: node.rpc.getmempoolinfo()["size"] == 1, "the disclosure is in the mempool")
    mine_to(node, P + BEACON + 1, STRANGER)
    other.wait_for_height(node.height())
    plain = other.rpc.auditrun(seat, 0)
    tap.true(not plain["valid"] and "challenge" not in plain, "it is false, and that is all")
    tap.equal(other.rpc.getrawmempool(), [], "nothing is sent unasked")
    audit = other.rpc.auditrun(seat, 0, True)
    tap.equal([(one["segment"], one["valid"]) for one in audit["segments"]], [(0, False)], "the first is false")
    wait_until(lambda: node.rpc.getrawmempool() == [audit["challenge"]], "others have the challenge")
    mine_to(node, P + BEACON + 2, STRANGER)
    tap.equal(node.rpc.getround(P)["seats"][seat - 1]["state"], "challenged", "the seat")
    mine_to(node, 2 * P + 1, STRANGER)
    tap.equal([one["state"] for one in node.rpc.getround(P)["seats"]],
              ["struck" if height == seat else "empty" for height in range(1, P + 1)], "the seats")
    other.wait_for_height(node.height())
    tap.equal(other.tip(), node.tip(), "the other's tip")


tap.main(false_segments_are_challenged, runs_are_merged_and_paid, silence_is_struck, trained_committed_disclosed,
         all_segments_can_be_audited, kills_cost_one_segment, runs_end_with_the_window, traces_need_a_disk, signatures_need_a_disk,
         locked_wallet_is_waited_for, run_0_begins_nothing, lost_traces_are_trained_again, reorganisation_begins_anew)
