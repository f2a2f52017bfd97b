"""Section 8: which proofs a block may list late."""

from .pace import BACK, future_limit, least_time

WINDOW = 7


def median_time(branch):
    """Of the last of these blocks, which start with genesis."""
    times = sorted(block.header.time for block in branch[-11:])
    return times[len(times) // 2]


def place(branch, proof):
    """Height of the late proof's parent on the branch that its block continues; None: there is none."""
    heights = range(max(0, len(branch) - WINDOW), len(branch) - 1)
    return next((a for a in heights if branch[a].header.id() == proof.prev), None)


def late_fault(spec, branch, block):
    """The reason why the late proofs of this block, on top of the branch (from genesis on), are not right, execution and
    keys apart; None: there is none."""
    last = -1, b""
    for proof in block.late:
        a = place(branch, proof)
        if a is None:
            return "bad-proof-parent"
        if (a, proof.seed()) <= last:
            return "bad-proof-order"
        last, child = (a, proof.seed()), branch[a + 1].header
        if (proof.version, proof.bits, proof.model_root) != (1, child.bits, child.model_root):
            return "bad-proof-parent"
        least = least_time(spec, a + 1, branch[max(0, a + 1 - BACK)].header.time)
        if not max(least, median_time(branch[:a + 1]) + 1) <= proof.time <= block.header.time + future_limit(spec):
            return "bad-proof-time"
        if not proof.is_share(spec.k):
            return "bad-proof-ticket"
    listed = {proof.seed() for earlier in branch for proof in earlier.proofs() + earlier.late}
    return "bad-proof-duplicate" if any(proof.seed() in listed for proof in block.late) else None
