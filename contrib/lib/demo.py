#!/usr/bin/env python3
"""The demonstration behind contrib/quickstart: two nodes on this machine train a model from nothing.

The first node mines. The second verifies every proof, owns a wallet, and contributes a text file as training data. Both
follow a small chain spec made for this run, with rounds: whoever mined blocks trains on in runs, which are merged into
the model. Every line that is printed comes from the nodes' RPC.
"""

import argparse
import base64
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LICENCE = "/usr/share/common-licenses/GPL-3"
PATIENCE = 600  # seconds for the whole run, and PATIENCE_MORE for each block beyond the usual number
PATIENCE_MORE = 10
BLOCKS = 50
LEGEND = """loss:    of the model after the block, on text that is never trained on
proofs:  training steps in the block; +N that came too late for an earlier block, and are paid now
trained: the data of these steps but for the late; * left out of the update, as it harms the model
paid:    by the block's coinbase, to miners for proofs and to owners for what their data did in the block before

A round is {round_blocks} blocks. Who mined one of them has a seat in the next round: his node trains on by itself, beside mining, in a
run that begins with the model as the round does, and commits to what each segment of it, {segment} iterations, has come to.
Then one segment of each run is drawn, which everybody executes; and the round's last block merges runs into the model.
merge:    the model's loss after the block, its runs merged, and before. A merge that would make it worse is void
true:     the segment that was drawn is right. The next block pays the run, by its segments
left out: true and paid, but not merged: it led much further than others, or the model would predict worse with it
struck:   false, or committed to and not shown: its miner loses what the block of his seat had paid him
empty:    nothing was committed to, as no segment was trained in time: nobody gains or loses
"""
FAIR_TRIAL = 30  # blocks after which data that has earned nothing has had its chance
MERGES = 2  # rounds with true runs that are shown, at least

# Small enough for two cores: a step takes a twentieth of a second. The target is far too easy, so what sets the pace is
# that there are at most four blocks a spacing: they come evenly, and runs have the time of three blocks on any machine.
# So few merges need no momentum.
SPEC = {
    "name": "demo", "hrp": "datl", "spacing": 8, "k": 4,
    "d": 64, "layers": 2, "heads": 2, "ff": 176, "ctx": 64, "batch": 8, "iterations": 4,
    "slots": 2, "bench_rows": 64, "lr_ppm": 1000, "mu_ppm": 0, "eta_ppm": 1000000, "maturity": 25,
    "data_delay": 1, "commit_delay": 2, "blob_min": 32768, "burn_rate": 100,
    "round_blocks": 12, "round_work": 6, "round_reveal": 3, "segments": 16, "segment": 8, "run_ppm": 500000,
}


class Failure(Exception):
    """Something the person at the terminal should read; no traceback."""


class Node:
    """One atelierd in a data directory of its own."""

    def __init__(self, name, build, root, spec, *settings):
        self.name = name
        self.datadir = os.path.join(root, name)
        self.port, self.rpc_port, self.web_port = free_ports(3)
        os.makedirs(self.datadir)
        # In a file, so that atelier-cli needs no more than -datadir to find the node.
        with open(os.path.join(self.datadir, "atelier.conf"), "w") as file:
            file.write("\n".join([f"chainspec={spec}", f"bind=127.0.0.1:{self.port}", f"rpcport={self.rpc_port}",
                                  f"webport={self.web_port}", "printtoconsole=0", *settings, ""]))
        self.output = open(os.path.join(self.datadir, "output.txt"), "w+b")
        self.process = subprocess.Popen([os.path.join(build, "atelierd"), f"-datadir={self.datadir}"],
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
                                        start_new_session=True)

    def wait(self):
        wait_until(f"{self.name} answers", self.answers, 30)

    def answers(self):
        if self.process.poll() is not None:
            self.output.seek(0)
            raise Failure(f"{self.name} did not start:\n{self.output.read().decode(errors='replace')}")
        try:
            self.call("getblockcount")
            return True
        except (OSError, Failure):
            return False

    def call(self, method, *parameters):
        cookie = os.path.join(self.datadir, SPEC["name"], ".cookie")
        with open(cookie, "rb") as file:
            token = base64.b64encode(file.read().strip()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.rpc_port, timeout=120)
        try:
            connection.request("POST", "/", json.dumps({"id": 0, "method": method, "params": parameters}),
                               {"Authorization": "Basic " + token, "Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer.get("error"):
            raise Failure(f"{self.name}: {method}: {answer['error']['message']}")
        return answer["result"]

    def is_idle(self):
        """Nothing is on its way into the chain."""
        work = self.call("gettraininginfo", 0)["verification"]
        return work["blocks_waiting"] == 0 and work["blocks_verifying"] == 0

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.output.close()


def free_ports(count):
    """Ports that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def wait_until(what, condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited {seconds:.0f} seconds in vain until {what}")
        time.sleep(0.1)


def merge_heights(height):
    """Blocks up to that one which merge a round; the first round has no seats."""
    return range(2 * SPEC["round_blocks"], height + 1, SPEC["round_blocks"])


def count_seats(seats):
    states = [seat["state"] for seat in seats]
    return {state: states.count(state) for state in ("merged", "left out", "struck", "empty")}


def true_seats(seats):
    return [seat for seat in seats if seat["state"] in ("merged", "left out")]


def mean(draws, name):
    return sum(draw[name] for draw in draws) / len(draws)


class Demo:
    def __init__(self, options):
        self.options = options
        self.started = time.monotonic()
        self.printed, self.loss = 0, None  # the newest block that was printed
        self.merges = 0  # rounds that were printed, and had true runs
        self.names = {}
        self.root = tempfile.mkdtemp(prefix="atelier-quickstart-")
        spec = os.path.join(self.root, "demo.json")
        with open(spec, "w") as file:
            genesis_time = int(time.time()) - options.spacing
            json.dump({**SPEC, "spacing": options.spacing, "genesis_time": genesis_time}, file, indent=2)
        self.spec = spec
        self.miner = self.owner = None

    def start(self):
        # A thread each, as for two cores. The miner's steps and segments take turns then: on a busy machine blocks come
        # later instead of runs being short.
        common = os.path.abspath(self.options.build), self.root, self.spec, "threads=1", "par=1"
        self.miner = Node("miner", *common)
        self.owner = Node("owner", *common, f"connect=127.0.0.1:{self.miner.port}")

    def seconds_left(self):
        patience = PATIENCE + PATIENCE_MORE * max(0, self.options.blocks - BLOCKS)
        return max(1, patience - (time.monotonic() - self.started))

    def report_new_blocks(self):
        """Prints a line for each block that is new on the owner's node, which has verified it."""
        while self.printed < self.owner.call("getblockcount"):
            self.printed += 1
            block = self.owner.call("getblock", self.owner.call("getblockhash", self.printed), 2)
            self.print_block(block)
            if self.printed in merge_heights(self.printed):
                self.print_merge(self.owner.call("getround", self.printed - SPEC["round_blocks"]))

    def print_block(self, block):
        if block["height"] == 1:
            print(LEGEND.format(**SPEC))
        if block["height"] % 20 == 1:
            print(f"{'block':>5}  {'loss':>7}  {'proofs':>6}  {'trained on':<31}  paid")
        # A slot without a proof was drawn, but nobody has trained on it.
        slots = [self.dataset_name(slot["dataset"]) + ("*" if slot["left_out"] else "")
                 for slot in block["outcome"].get("slots", []) if slot["proofs"] > 0]
        proofs = f"{len(block['proofs'])}" + (f"+{len(block['late'])}" if block["late"] else "")
        paid = {}
        for output in block["tx"][0]["vout"]:
            if "address" in output["scriptPubKey"]:
                who = self.names.get(output["scriptPubKey"]["address"], "?")
                paid[who] = paid.get(who, 0) + output["value"]
        paid = ", ".join(f"{who} {amount:.4f}" for who, amount in paid.items())
        runs = sum(run["amount"] for run in block.get("run_payments", []))
        paid += f" ({runs:.4f} for runs)" if runs > 0 else ""
        note = "  (update void)" if block["outcome"]["void"] else ""
        self.loss = block["loss_after"] or block["loss_before"]  # a void update may have no loss of its own
        print(f"{block['height']:>5}  {self.loss:>7.4f}  {proofs:>6}  "
              f"{', '.join(slots):<31}  {paid}{note}", flush=True)

    def print_merge(self, merged):
        """What the block that was printed last made of a round."""
        seats, true = count_seats(merged["seats"]), true_seats(merged["seats"])
        self.merges += len(true) > 0
        print(f"{'merge':>5}  {merged['loss_after'] or merged['loss_before']:>7.4f}  was {merged['loss_before']:.4f}: "
              f"{len(merged['seats'])} seats, {len(true)} true ({sum(seat['length'] for seat in true)} segments), "
              f"{seats['left out']} left out, {seats['struck']} struck, {seats['empty']} empty"
              f"{'  (merge void)' if merged['void'] else ''}", flush=True)

    def dataset_name(self, number):
        return "genesis corpus" if number == 0 else self.owner.call("getdataset", number)["title"][:14]

    def mine_until(self, what, condition):
        def step():
            self.report_new_blocks()
            return condition()
        wait_until(what, step, self.seconds_left())

    def run(self):
        for node in (self.miner, self.owner):
            node.wait()
            node.call("createwallet", node.name)
        self.contribute()
        self.mine_until("the blocks are mined", self.has_shown_enough)
        self.miner.call("setmining", False)
        self.close_report(self.settle())

    def contribute(self):
        """Mines until the owner's data are on the chain."""
        miner, owner = self.miner, self.owner
        pay_to, own = miner.call("getnewaddress"), owner.call("getnewaddress")
        self.names = {pay_to: "miner", own: "owner"}
        wait_until("the nodes are connected", lambda: owner.call("getnetworkinfo")["connections"] > 0, 30)
        model = miner.call("getmodelinfo")
        print(f"Two nodes are up, at genesis: a model of {model['parameters']} parameters that knows nothing yet.\n")

        miner.call("setmining", True, 1, pay_to)
        size = os.path.getsize(self.options.file)
        gift = round(size * SPEC["burn_rate"] / 1e8 + 1, 8)
        self.mine_until("the miner can spend", lambda: miner.call("getbalance") > gift + 1)
        miner.call("sendtoaddress", own, gift)
        print(f"       The miner sends the owner {gift:.8f} ATL, to pay a contribution with")
        self.mine_until("the owner has coins", lambda: owner.call("getbalance") > 0)
        title = os.path.basename(self.options.file).encode()[:64].decode(errors="ignore")
        sent = owner.call("contributedata", self.options.file, "LicenseRef-as-stated", title, own)
        print(f"       The owner contributes {self.options.file} ({size} bytes), and commits to it in {sent['commitment'][:16]}...")
        self.mine_until("the commitment is deep enough", lambda: self.has_reached("registering", "registered"))
        print(f"       The commitment is deep enough, and the wallet registers the data in {sent['txid'][:16]}...")
        self.mine_until("the data is on the chain", lambda: self.has_reached("registered"))

    def has_reached(self, *stages):
        """How far the wallet says that the contribution is."""
        contribution = self.owner.call("listcontributions")[0]
        if contribution["stage"] == "failed":
            raise Failure(f"the contribution failed: {contribution['why']}")
        return contribution["stage"] in stages

    def has_shown_enough(self):
        """As many blocks as were asked for, a lower loss, runs merged and paid, data that were paid or had their chance."""
        data = self.owner.call("getdataset", 1)
        return self.printed >= self.options.blocks and self.loss < self.first_loss() and \
            self.merges >= MERGES and self.printed not in merge_heights(self.printed) and \
            (data["total_paid"] > 0 or self.printed >= data["height"] + FAIR_TRIAL)

    def first_loss(self):
        return self.owner.call("getblock", self.owner.call("getblockhash", 1))["loss_before"]

    def settle(self):
        """The block that both nodes stand on, when no other is on its way. What was mined as mining ended comes late."""
        tips = set()

        def same():
            self.report_new_blocks()
            idle = self.miner.is_idle() and self.owner.is_idle()
            tips.clear()
            tips.update(node.call("getbestblockhash") for node in (self.miner, self.owner))
            return idle and len(tips) == 1
        wait_until("both nodes stand on the same block", same, 60)
        return tips.pop()

    def close_report(self, tip):
        """What became of it, as of the block `tip`: by its hash, so that nothing that still comes mixes in."""
        miner, owner = self.miner, self.owner
        first, block = self.first_loss(), owner.call("getblock", tip)
        last, height = block["loss_after"] or block["loss_before"], block["height"]
        print(f"\nBenchmark loss     {first:.4f} before, {last:.4f} after {height} blocks (nats a byte)")
        roots = {node.name: node.call("getblock", tip)["model_root_after"] for node in (miner, owner)}
        for name, root in roots.items():
            print(f"{name:<8} stands on  {tip}\n         model_root {root}")
        if roots["miner"] != roots["owner"]:
            raise Failure("the nodes' models differ")
        data = owner.call("getdataset", 1)
        self.report_data(data)
        self.report_rounds(height)
        balances = {node.name: self.total_balance(node) for node in (miner, owner)}
        print(f"Balances           miner {balances['miner']:.8f} ATL, owner {balances['owner']:.8f} ATL "
              f"({data['total_paid']:.8f} earned by the data)")
        audit = owner.call("auditchain", 5)
        print(f"auditchain         {audit['checked']} blocks re-executed by the second node: "
              f"{'all as stated' if audit['valid'] else 'FALSE'}")
        text = owner.call("generatetext", "The ", 200)["text"]
        print("200 bytes from the model it trained:\n")
        print("\n".join("    " + "".join(c if c.isprintable() else "\ufffd" for c in line) for line in text.split("\n")))
        print(f"\nDone in {time.monotonic() - self.started:.0f} seconds.")
        if not (last < first and all(amount > 0 for amount in balances.values()) and audit["valid"] and
                height >= self.options.blocks):
            raise Failure("the run did not end as it should: see the figures above")

    def report_rounds(self, height):
        """What became of all runs up to that block, and what they have earned beside proofs. One is executed once more."""
        owner, spec = self.owner, SPEC
        seats = [seat for merge in merge_heights(height)
                 for seat in owner.call("getround", merge - spec["round_blocks"])["seats"]]
        true = true_seats(seats)
        blocks = [owner.call("getblock", owner.call("getblockhash", number)) for number in range(1, height + 1)]
        proofs = [proof for block in blocks for proof in block["proofs"] + block["late"]]
        runs = [run for block in blocks for run in block.get("run_payments", [])]
        print(f"Rounds             {len(merge_heights(height))} merged, with {len(true)} true runs of {len(seats)} seats: "
              f"{sum(seat['length'] for seat in true) * spec['segment']} iterations; {count_seats(seats)['struck']} struck")
        print(f"Miners were paid   {sum(proof['reward'] for proof in proofs):.8f} ATL for {len(proofs)} proofs, "
              f"{sum(run['amount'] for run in runs):.8f} ATL for {len(runs)} runs")
        audit = owner.call("auditrun", true[-1]["height"])
        print(f"auditrun           segment {audit['segments'][-1]['segment']} of the run of block {audit['height']} re-executed by "
              f"the second node: {'as disclosed' if audit['valid'] else 'FALSE'}")
        if count_seats(seats)["struck"] > 0 or not audit["valid"]:
            raise Failure("a run was struck or is false, though both nodes are honest")

    @staticmethod
    def report_data(data):
        """What the blocks measured of the contributed data, in nats of loss, and what follows from it."""
        drawn = [draw for draw in data["last_draws"] if "effect" in draw]
        print(f"Contributed data   {data['status']}, drawn {data['total_draws']} times; "
              f"fee {data['burned']:.8f} burned, {data['total_paid']:.8f} paid to the owner")
        if drawn:
            print(f"  of the last {len(drawn):>2}:  mean effect A on the reserved text {mean(drawn, 'effect'):+.6f}, "
                  f"O on their own pages {mean(drawn, 'own'):+.6f} nats (+: better)")
            print(f"                   left out of the update {sum(draw['left_out'] for draw in drawn)} times, as A was too low; "
                  f"known at {sum(draw['known'] for draw in drawn)}: the model had learned of their pages")
            print(f"                   worth pay at {sum(draw['value'] > 0 for draw in drawn)}: "
                  "those that were known and not left out, and had O above 0")
        if "quarantine" in data:
            quarantine = data["quarantine"]
            print(f"                   in quarantine from block {quarantine['since']} to {quarantine['until']}: "
                  f"mean effect {quarantine['mean_effect']:+.6f} in {quarantine['draws']} draws")

    @staticmethod
    def total_balance(node):
        info = node.call("getwalletinfo")
        return info["balance"] + info["immature_balance"] + info["unconfirmed_balance"]

    def keep(self):
        client = shlex.quote(os.path.join(os.path.abspath(self.options.build), "atelier-cli"))
        miner, owner = (f"{client} -datadir={shlex.quote(node.datadir)}" for node in (self.miner, self.owner))
        print(f"""
Both nodes go on running, with their files in {self.root}; mining is switched off. Talk to them like this:

    {miner} help
    {miner} getpageaddress      # what a browser on this machine shows it at
    {miner} setmining true
    {owner} getdataset 1
    {owner} getrounds
    {owner} generatetext "The "

and end them with:

    {owner} stop
    {miner} stop

{self.page()}""")

    def page(self):
        try:
            return f"The miner's page, for a browser on this machine: {self.miner.call('getpageaddress')}"
        except (Failure, OSError) as failure:
            return f"The miner has no page: {failure}"

    def close(self, keep):
        nodes = [node for node in (self.miner, self.owner) if node]
        if keep:
            self.keep()
            return
        for node in nodes:
            node.stop()
        shutil.rmtree(self.root, ignore_errors=True)


def block_count(text):
    """The argument of --blocks; with its message instead of argparse's, that shows options nobody has typed."""
    if not text.isdecimal() or int(text) < 1:
        sys.exit(f"--blocks needs a number from 1, not '{text}'")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build", help="where atelierd was built")
    parser.add_argument("--file", default=LICENCE, help="text to contribute")
    parser.add_argument("--blocks", type=block_count, default=BLOCKS, help="blocks to mine at least")
    parser.add_argument("--spacing", type=int, default=SPEC["spacing"], help="the chain's; four blocks come in that time")
    parser.add_argument("--keep", action="store_true", help="leave the nodes running")
    parser.add_argument("--check", action="store_true", help="check the arguments, and do nothing")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # the model may write what the terminal cannot show
    if not os.path.isfile(options.file) or os.path.getsize(options.file) < SPEC["blob_min"]:
        sys.exit(f"'{options.file}' is not a file of at least {SPEC['blob_min']} bytes")
    if options.check:
        return
    demo, keep = Demo(options), False
    try:
        demo.start()
        demo.run()
        keep = options.keep
    except (Failure, OSError, KeyboardInterrupt) as error:
        sys.exit(f"The demonstration failed: {error or 'interrupted'}")
    finally:
        demo.close(keep)


if __name__ == "__main__":
    main()
