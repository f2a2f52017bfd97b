"""A chain with rounds for tests: regtest's sizes and numbers, but for what rounds need.

    node = Node(chain=SPEC["name"], start=False)
    node.use_spec(SPEC)
    node.start()

and nodes on it whose wallet's blocks have all seats: they mine, train, commit and disclose by themselves.
"""

from .node import Node, wait_until

SPEC = {"name": "rounds", "hrp": "rnd", "d": 32, "layers": 2, "heads": 2, "ff": 96, "ctx": 32, "maturity": 20,
        "halving": 150, "round_blocks": 8, "round_work": 2, "round_reveal": 3, "segments": 4, "segment": 2,
        "run_ppm": 500000}

P = SPEC["round_blocks"]
WORK_END = SPEC["round_work"]
BEACON = WORK_END + 1
LAST_DISCLOSURE = BEACON + SPEC["round_reveal"]


def new_node(*options, spec=SPEC):
    node = Node(*options, chain=spec["name"], start=False)
    node.use_spec(spec)
    node.start()
    return node


def with_wallet(*options, spec=SPEC, passphrase=""):
    node = new_node(*options, spec=spec)
    node.rpc.createwallet("w", passphrase=passphrase)
    node.own = node.rpc.getnewaddress()
    return node


def mine_to(node, height, payee=None):
    while node.height() < height:
        node.rpc.generatetoaddress(1, payee or node.own)


def states(node, base=P):
    return [run["state"] for run in node.rpc.getruns() if run["base"] == base]


def wait_for_state(node, state, base=P, runs=P):
    wait_until(lambda: states(node, base) == [state] * runs, f"all runs are {state}")


def kill_and_restart(node):
    node.kill()
    node.start("-wallet=w")


def wait_for_offers(node, runs=P):
    wait_until(lambda: node.rpc.getmempoolinfo()["size"] == runs, "all are in the mempool")


def commit_runs(node):
    """Trained and committed to, in the first block that may have it."""
    mine_to(node, P)
    wait_for_state(node, "committing")
    wait_for_offers(node)
    mine_to(node, P + 1)
    wait_for_state(node, "committed")


def disclose_runs(node, runs=P):
    mine_to(node, P + BEACON)
    wait_for_offers(node, runs)
    # A block has at most ceil(4 P / round_reveal) of them.
    mine_to(node, P + LAST_DISCLOSURE)
    wait_for_state(node, "disclosed", runs=runs)


def play_round(node, base):
    """From its base or below to its merge, which is the next base."""
    mine_to(node, base)
    wait_for_offers(node)
    mine_to(node, base + BEACON)
    wait_for_offers(node)
    mine_to(node, base + P)
