#!/usr/bin/env python3
"""What the calls for a page show is what the blocks and the other calls say."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node
from framework.prose import prose
from framework.rounds import P, SPEC, commit_runs, disclose_runs, mine_to, with_wallet
from reference.transactions import address

PAYEE = address("ratl", bytes.fromhex(KEYS[0]))


def blocks_of(node):
    return [node.rpc.getblock(node.rpc.getblockhash(height)) for height in range(1, node.height() + 1)]


def loss_of(block):
    return block["loss_before"] if block["outcome"]["void"] else block["loss_after"]


def new_chain():
    """A chain of genesis alone has a summary, one block, and no curve"""
    with Node() as node:
        summary = node.rpc.getsummary()
        tap.equal((summary["height"], summary["hash"], summary["model"]["root"]), (0, node.tip(), node.model_root()), "tip")
        tap.true("loss" not in summary["model"] and "round" not in summary, f"nothing to be told yet: {summary}")
        tap.equal([block["height"] for block in node.rpc.listblocks()], [0], "blocks")
        with tap.raises(-8, "no blocks"):
            node.rpc.getcurve()


def curves_and_tiles():
    """Curve, list of blocks and summary agree with getblock"""
    with Node() as node:
        node.generate(14)
        blocks = blocks_of(node)
        losses = [loss_of(block) for block in blocks]
        curve = node.rpc.getcurve()
        tap.equal(curve["height"], list(range(1, 15)), "a point for each block")
        tap.equal(curve["time"], [block["time"] for block in blocks], "times")
        tap.equal((curve["loss"], curve["least"], curve["most"]), (losses,) * 3, "losses")
        tap.equal(curve["voids"], [block["height"] for block in reversed(blocks) if block["outcome"]["void"]], "void blocks")
        tap.equal((curve["merges"], curve["merge_count"]), ([], 0), "merges")
        for points, first, last in ((5, 1, 14), (3, 2, 9), (1, 1, 99), (4, 4, 7)):
            curve = node.rpc.getcurve(points, first, last)
            ends = curve["height"]
            tap.equal((len(ends), ends[-1]), (points, min(last, 14)), f"points of {first} to {last}")
            starts = [first, *(end + 1 for end in ends[:-1])]
            sizes = {end - start + 1 for start, end in zip(starts, ends)}
            tap.true(min(sizes) > 0 and max(sizes) - min(sizes) <= 1, f"points are of one size: {sizes}")
            for point, (start, end) in enumerate(zip(starts, ends)):
                of_point = losses[start - 1:end]
                tap.equal((curve["loss"][point], curve["least"][point], curve["most"][point]),
                          (of_point[-1], min(of_point), max(of_point)), f"point {point} of {points}")
        with tap.raises(-8, "no blocks"):
            node.rpc.getcurve(10, 15)

        tiles = node.rpc.listblocks(15, 14)
        tap.equal([tile["height"] for tile in tiles], list(range(14, 0, -1)), "tiles, the newest first")
        tap.equal([tile["height"] for tile in node.rpc.listblocks(3)], [2, 1, 0], "tiles below a height")
        for tile, block in zip(reversed(tiles), blocks):
            for name in ("hash", "time", "miner", "nTx", "nproofs", "nlate", "loss_before", "loss_after"):
                tap.equal(tile[name], block[name], f"{name} of block {block['height']}")
            tap.equal(sum(slot["proofs"] for slot in tile["slots"]), block["nproofs"], "proofs of its slots")
            tap.equal([slot["dataset"] for slot in tile["slots"]],
                      [block["outcome"]["slots"][slot["slot"]]["dataset"] for slot in tile["slots"]], "datasets")
            tap.equal(tile["gain"], round(block["loss_before"] - loss_of(block), 6), "gain")
            paid = node.rpc.getblock(block["hash"], 2)["tx"][0]["vout"]
            tap.equal(tile["paid"], round(sum(output["value"] for output in paid), 8), "paid")

        summary = node.rpc.getsummary()
        tap.equal((summary["height"], summary["hash"], summary["time"]), (14, node.tip(), blocks[-1]["time"]), "tip")
        tap.equal((summary["model"]["loss"], summary["model"]["root"]), (losses[-1], node.model_root()), "the model")
        tap.true(abs(summary["model"]["mean_loss"] - sum(losses) / 14) < 2e-6, "mean loss")
        tap.equal(summary["model"]["parameters"], node.rpc.getmodelinfo()["parameters"], "parameters")
        day_ago = summary["model"]["day_ago"]
        tap.equal((day_ago["height"], day_ago["mean_loss"]), (1, losses[0]), "the first block of a chain of less than a day")
        tap.equal((summary["next"]["height"], summary["next"]["transactions"], summary["peers"]), (15, 0, 0), "what is next")
        training = node.rpc.gettraininginfo(0)
        tap.equal([slot["dataset"] for slot in summary["next"]["slots"]],
                  [slot["dataset"] for slot in training["next_slots"]], "datasets of its slots")
        tap.equal((sum(slot["proofs"] for slot in summary["next"]["slots"]), summary["next"]["proofs"]),
                  (training["loose_proofs"],) * 2, "proofs that wait")


def other_branches():
    """The curve follows a reorganisation, of as many blocks or fewer"""
    with Node() as node:
        ids = node.generate(9)
        before = node.rpc.getcurve()
        node.rpc.invalidateblock(ids[4])
        tap.equal(node.rpc.getcurve()["loss"], before["loss"][:4], "a lower tip")
        node.generate(7, key=1)
        tap.equal(node.rpc.getcurve()["loss"], [loss_of(block) for block in blocks_of(node)], "another branch")
        node.rpc.reconsiderblock(ids[4])
        node.generate(1)
        tap.equal(node.rpc.getcurve()["loss"], [loss_of(block) for block in blocks_of(node)], "whichever is best")


def a_day_ago():
    """The change of the loss is told since the block of a day ago"""
    with Node() as node:
        node.generate(3)
        started = node.rpc.getblockheader(node.tip())["time"]
        for hours in (1, 20, 25, 30, 40):
            node.rpc.setmocktime(started + hours * 3600)
            node.generate(7)
        tip = node.rpc.getblockheader(node.tip())
        old = [height for height in range(1, node.height() + 1)
               if node.rpc.getblockheader(node.rpc.getblockhash(height))["mediantime"] <= tip["mediantime"] - 86400]
        tap.true(2 < max(old) < node.height() - 6, f"heights older than a day: up to {max(old)}")
        tap.equal(node.rpc.getsummary()["model"]["day_ago"]["height"], max(old), "the last of them")


def datasets_and_search():
    """What a dataset was worth adds up to what the registry knows; everything that has a name is found"""
    with Node() as node:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(12, node.rpc.getnewaddress())
        contribution = node.contribute("", "CC-BY-4.0", "Discharge Letters, 2019", None, prose(1, 40000).hex())
        for _ in range(200):
            node.generate(10)
            dataset = node.rpc.getdataset("1", False, 7)
            if dataset["total_draws"] > 1:
                break
        series = dataset["series"]
        tap.equal((len(series["height"]), series["height"][-1]), (7, node.height()), "points")
        tap.true(dataset["total_draws"] > 1, "it was drawn")
        # What the tip did is in the registry with its child.
        whole = node.rpc.getdataset("1", False, 2000)["series"]
        tap.equal(whole["height"], list(range(dataset["height"] + 1, node.height() + 1)), "a point for each block")
        tap.equal((sum(whole["draws"][:-1]), round(sum(whole["paid"][:-1]), 8)),
                  (dataset["total_draws"], dataset["total_paid"]), "draws, and what was paid")
        tap.equal((sum(series["draws"]), round(sum(series["paid"]), 8)),
                  (sum(whole["draws"]), round(sum(whole["paid"]), 8)), "the same in seven points")
        tap.true("series" not in node.rpc.getdataset("1"), "only if asked for")
        tap.equal([one["series"] for one in node.rpc.listdatasets(9, 0, 7)],
                  [node.rpc.getdataset(number, False, 7)["series"] for number in "01"], "series of all")
        cut = node.rpc.getblockhash(node.height() - 5)
        node.rpc.invalidateblock(cut)
        shorter = node.rpc.getdataset("1", False, 2000)["series"]
        node.rpc.reconsiderblock(cut)
        tap.equal({name: shorter[name] for name in shorter},
                  {name: whole[name][:len(shorter["height"])] for name in shorter}, "on a lower tip")
        tap.equal(node.rpc.getdataset("1", False, 2000)["series"], whole, "and back")

        block = node.rpc.getblock(node.rpc.getblockhash(2))
        in_block = {"height": 2, "blockhash": block["hash"]}
        tap.equal(node.rpc.search(block["hash"]), [
            {"kind": "block", "height": 2, "hash": block["hash"]}, {"kind": "proof", "id": block["hash"], **in_block}],
            "a block, whose header is its own proof")
        tap.equal(node.rpc.search(block["tx"][0]), [{"kind": "transaction", "txid": block["tx"][0], **in_block}], "a txid")
        txid = node.rpc.sendtoaddress(PAYEE, 1)
        tap.equal(node.rpc.search(txid), [{"kind": "transaction", "txid": txid}], "one that waits")
        letters = {"kind": "dataset", "number": 1, "title": "Discharge Letters, 2019"}
        tap.equal(node.rpc.search("1"), [{"kind": "block", "height": 1, "hash": node.rpc.getblockhash(1)}, letters], "1")
        tap.equal(node.rpc.search(dataset["root"]), [letters], "a root")
        tap.equal(node.rpc.search(" letters  DISCHARGE "), [letters], "words of its title, in any order")
        tap.equal(node.rpc.search("letters xyz"), [], "other words")
        # That of the model before a block is that after its parent; void blocks leave it as it is.
        roots = [node.rpc.getblock(node.rpc.getblockhash(height))["model_root"] for height in range(1, 5)]
        tap.equal([one["height"] for one in node.rpc.search(roots[3])], [roots.index(roots[3])], "a model's root")
        tap.equal(node.rpc.search(block["hash"][:20]), [{"kind": "block", "height": 2, "hash": block["hash"]}], "half an id")
        tap.equal(node.rpc.search(PAYEE), [{"kind": "address", "address": PAYEE}], "an address")
        tap.equal([node.rpc.search(text) for text in ("", "   ", "00" * 32, "f" * 20, "999999999999999999999")], [[]] * 5,
                  "nothing")
        tap.true(contribution["root"] == dataset["root"], "the contribution")


def what_is_spent():
    """A transaction's inputs tell what they spend, in the mempool, in a block and in one that was taken off"""
    with Node() as node:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
        node.generate(10)
        coins = {(coin["txid"], coin["vout"]): coin for coin in node.rpc.listunspent()}
        first = node.rpc.sendtoaddress(PAYEE, "0.5")
        second = node.rpc.sendtoaddress(PAYEE, f"{node.rpc.getbalance() - 1:.8f}")  # the change too
        fees = {txid: node.rpc.getmempoolentry(txid)["fees"]["base"] for txid in (first, second)}
        waiting = {txid: node.rpc.getrawtransaction(txid, 2) for txid in fees}
        tap.equal({txid: told["fee"] for txid, told in waiting.items()}, fees, "fees of those that wait")
        spent = waiting[first]["vin"][0]["prevout"]
        coin = coins[waiting[first]["vin"][0]["txid"], waiting[first]["vin"][0]["vout"]]
        tap.equal((spent["value"], spent["height"], spent["generated"], spent["scriptPubKey"]["address"]),
                  (coin["amount"], 1, True, coin["address"]), "a coinbase's coin")
        change = next(one for one in waiting[second]["vin"] if one["txid"] == first)
        tap.equal((change["txid"], change["prevout"]["value"], "height" in change["prevout"]),
                  (first, waiting[first]["vout"][change["vout"]]["value"], False), "one that waits itself")
        block_id, = node.generate(1)
        for _ in range(2):  # in its block, and when that is on no active chain
            for txid, fee in fees.items():
                told = node.rpc.getrawtransaction(txid, 2, block_id)
                tap.equal(told["fee"], fee, "fee")
                tap.equal([one["prevout"]["value"] for one in told["vin"]],
                          [one["prevout"]["value"] for one in waiting[txid]["vin"]], "what it spends")
            coinbase = node.rpc.getrawtransaction(node.rpc.getblock(block_id)["tx"][0], 2, block_id)
            tap.true("fee" not in coinbase and "prevout" not in coinbase["vin"][0], "a coinbase spends nothing")
            tap.true("fee" not in node.rpc.getrawtransaction(first, 1, block_id), "only if asked for")
            node.rpc.invalidateblock(block_id)


def merges():
    """A merged round is marked, and the open one is in the summary"""
    node = with_wallet("-threads=3")
    mine_to(node, 3)
    tap.true("round" not in node.rpc.getsummary(), "before the first base there is no round")
    commit_runs(node)
    summary = node.rpc.getsummary()
    tap.equal([seat["state"] for seat in summary["round"]["seats"]], ["committed"] * P, "seats")
    tap.true(all(seat["own"] for seat in summary["round"]["seats"]), "they are this node's own")
    tap.equal({name: summary["run"][name] for name in ("base", "state", "segments")},
              {"base": P, "state": "committed", "segments": SPEC["segments"]}, "a run")
    disclose_runs(node)
    mine_to(node, 2 * P + 2)
    told = node.rpc.getrounds()[-1]
    merge, = node.rpc.getcurve()["merges"]
    tap.equal((merge["height"], merge["base"]), (2 * P, P), "where it is")
    for name in ("judged_by", "void", "halved", "seats", "loss_before", "loss_after"):
        tap.equal(merge[name], told[name], f"{name} of the merge")
    tile = node.rpc.listblocks(2 * P + 1, 1)[0]
    tap.equal((tile["height"], tile["merge"]), (2 * P, told["seats"]), "its tile")
    paid = node.rpc.getblock(node.rpc.getblockhash(2 * P + 1))["run_payments"]
    tap.equal(node.rpc.listblocks(2 * P + 2, 1)[0]["paid_runs"], round(sum(one["amount"] for one in paid), 8), "paid runs")
    tap.equal(node.rpc.getsummary()["round"]["base"], 2 * P, "the next round")


if __name__ == "__main__":
    tap.main(new_chain, curves_and_tiles, other_branches, a_day_ago, datasets_and_search, what_is_spent, merges)
