"""The story of three rounds, made by the second implementation: honest runs, one that is copied, one that stays silent, one
that is forged and challenged, one out of bounds, most of all segments and some shorter; and in the place of each block those
that break a rule there. And a real node that listens to it.

    story = Story()
    story.tell(LAST, Listener(story.chain).hear)
"""

from reference.chain import Chain, Wrong
from reference.hashing import blob_root, sha256, shown
from reference.headers import Block
from reference.merge import EMPTY, LEFT_OUT, MERGED, STRUCK
from reference.round_tx import CHALLENGE, DISCLOSURE, INDEX, Round, RoundTransaction, base_of, make_commit
from reference.runs import digest_list, make_disclosure
from reference.signatures import public_key
from reference.spec import built_in
from reference.state import model_root
from reference.targets import limit, to_compact
from reference.transactions import Transaction, payee

from . import tap
from .node import Node, RpcError
from .p2p import Peer

FIELDS = {"name": "judged", "hrp": "rnd", "k": 1, "start_bits": to_compact(limit(1)), "slots": 1, "d": 16, "layers": 1,
          "heads": 1, "ff": 16, "ctx": 32, "batch": 1, "iterations": 1, "bench_rows": 1, "maturity": 17, "round_blocks": 8,
          "round_work": 1, "round_reveal": 3, "segments": 4, "segment": 1, "run_ppm": 500000}
P = FIELDS["round_blocks"]
HONEST, SECOND, COPIED, COPIED_TOO, SILENT, CHALLENGED, OUT_OF_BOUNDS, NONE = range(P)  # the seats of the first round
SECOND_LENGTH, CHALLENGED_LENGTH = 1, 3  # segments; of the others all
FIRST, SECOND_BASE, LAST = P, 2 * P, 4 * P + 1


def secret_of(height):
    return 1 + height % 3


class Story:
    """The chain, and the codes of the runs by the heights of their seats."""

    def __init__(self, spec=None):
        self.chain, self.codes, self.before_challenge = Chain(spec or built_in("regtest", **FIELDS)), {}, None
        tap.true(self.chain.spec.has_right_rounds(), "the fields of rounds are within their limits")

    # Runs: what the seats of a round commit to.

    def make_runs(self, base):
        first = base - P + 1
        honest = self.chain.run(first + HONEST).codes()
        self.codes[first + HONEST] = honest
        forged = self.chain.run(first + CHALLENGED)
        codes = honest[:2]  # the first segment is another's
        for j in range(1, CHALLENGED_LENGTH):
            codes.append(forged.segment(j, codes[j]))
        self.codes[first + CHALLENGED] = codes
        if base != FIRST:
            return
        self.codes[first + SECOND] = self.chain.run(first + SECOND).codes(SECOND_LENGTH)
        self.codes[first + COPIED] = self.codes[first + COPIED_TOO] = self.codes[first + SILENT] = honest
        wild = [bytes([0]) + code[1:] for code in honest[1:-1]]
        self.codes[first + OUT_OF_BOUNDS] = [honest[0], *wild, honest[-1]]

    def length(self, height):
        return len(self.codes.get(height, [b"", b""])) - 1

    def commit(self, height, base=None, seat=None, secret=None, length=None):
        """Of the seat's run. The others are what the signature is of, if not what it should be."""
        base = base or base_of(self.chain.spec, height) + self.chain.spec.round_blocks
        ids = [self.chain.branch[at].header.id() for at in (base, seat or height)]
        root = sha256(digest_list(self.codes.get(height, [b""])))
        return make_commit(secret or secret_of(height), *ids, height, self.length(height) if length is None else length, root)

    def disclosure(self, height, j=None):
        """And its blob."""
        blob = make_disclosure(self.codes[height], self.chain.audited(height) if j is None else j)
        return RoundTransaction(DISCLOSURE, height, self.length(height), blob_root(blob)), blob

    def challenge(self, height, j):
        blob = self.codes[height][j]
        return RoundTransaction(CHALLENGE, height, j, blob_root(blob)), blob

    # Blocks.

    def block(self, *found, **how):
        """The next one, with these round transactions and others; their blobs come with it."""
        pairs = [one if isinstance(one, tuple) else (one, None) for one in found]
        blobs = {one.root: blob for one, blob in pairs if blob is not None}
        transactions = [one if isinstance(one, Transaction) else one.transaction() for one, _ in pairs]
        return self.chain.child(public_key(secret_of(self.chain.height() + 1)), transactions, **how), blobs

    def wrong(self, reason, *found, **how):
        """Work and bytes are asked for last, so other wrong blocks need none."""
        how.setdefault("work", reason in ("bad-round-disclosure", "bad-round-challenge"))
        return reason, *self.block(*found, **how)

    def right(self):
        """The transactions of the next block."""
        height, base = self.chain.height() + 1, base_of(self.chain.spec, self.chain.height() + 1)
        record = Round(self.chain.spec, self.chain.branch, base)
        if base not in (FIRST, SECOND_BASE):
            return []
        if height == base + 1:
            self.make_runs(base)
            return [self.commit(seat) for seat in record.heights() if seat in self.codes]
        if height == base + (4 if base == FIRST else 5):
            return [self.disclosure(seat) for seat in record.commits if seat != record.heights()[SILENT]]
        if (base, height) == (FIRST, base + 5):
            return [self.challenge(record.heights()[CHALLENGED], 0)]
        if (base, height) == (FIRST, base + 6):
            return [self.challenge(record.heights()[OUT_OF_BOUNDS], 1)]
        return []

    def wrongs(self, right):
        """Wrong blocks in the place of the next one: (reason, block, blobs) each."""
        height, seats = self.chain.height() + 1, range(1, P + 1)
        if height == FIRST:
            yield self.wrong("bad-round-seat", self.commit(1, base=1))
        elif height == FIRST + 1:
            yield from self.wrong_commits(seats, right)
        elif height == FIRST + 2:
            yield self.wrong("bad-round-seat", self.commit(seats[NONE]))
            yield self.wrong("bad-round-seat", self.disclosure_before(seats[HONEST]))
        elif height == FIRST + 4:
            yield from self.wrong_disclosures(seats, right)
        elif height == FIRST + 5:
            yield from self.wrong_challenges(seats, right)
        elif height == FIRST + P:
            yield self.wrong("bad-round-seat", self.disclosure(seats[SILENT]))
            yield self.wrong("bad-round-seat", self.challenge(seats[SECOND], 1))
        elif height == FIRST + P + 1:
            yield from self.wrong_statements()
        elif height == FIRST + P - 1:
            yield self.wrong("bad-round-challenge", self.challenge(seats[SECOND], 0))
        elif height == seats[COPIED] + FIELDS["maturity"]:
            yield from self.wrong_spends(self.chain.branch[seats[COPIED]].transactions[0].txid())
        elif height == SECOND_BASE + P:
            yield self.wrong("bad-round-seat", self.commit(SECOND_BASE - P + 1 + HONEST))

    def disclosure_before(self, height):
        """The beacon's block is in the making."""
        return RoundTransaction(DISCLOSURE, height, 1, bytes(32))

    def wrong_commits(self, seats, right):
        flipped = self.commit(seats[HONEST])
        flipped.signature = flipped.signature[:-1] + bytes([flipped.signature[-1] ^ 1])
        yield self.wrong("bad-round-signature", flipped)
        yield self.wrong("bad-round-signature", self.commit(seats[HONEST], base=FIRST - 1))
        yield self.wrong("bad-round-signature", self.commit(seats[HONEST], seat=seats[SECOND]))
        yield self.wrong("bad-round-signature", self.commit(seats[HONEST], secret=secret_of(seats[SECOND])))
        yield self.wrong("bad-round-duplicate", *right, self.commit(seats[SECOND]))
        yield self.wrong("bad-round-seat", make_commit(1, bytes(32), bytes(32), 0, 1, bytes(32)))
        yield self.wrong("bad-round-seat", make_commit(1, bytes(32), bytes(32), FIRST + 1, 1, bytes(32)))
        cut = self.commit(seats[HONEST])
        cut.number -= 1
        yield self.wrong("bad-round-signature", cut)
        for length in (0, FIELDS["segments"] + 1, 0xffffffff):
            yield self.wrong("bad-round-format", self.commit(seats[HONEST], length=length))
        yield self.wrong("bad-round-seat", self.disclosure_before(seats[HONEST]))
        late = self.commit(seats[HONEST]).transaction()
        late.locktime = 1
        yield self.wrong("bad-round-format", late)

    def wrong_disclosures(self, seats, right):
        j = self.chain.audited(seats[HONEST])
        yield self.wrong("bad-round-seat", RoundTransaction(DISCLOSURE, seats[NONE], 1, bytes(32)))
        for seat, length in ((HONEST, SECOND_LENGTH), (SECOND, FIELDS["segments"])):
            yield self.wrong("bad-round-seat", RoundTransaction(DISCLOSURE, seats[seat], length, bytes(32)))
        yield self.wrong("bad-round-format", RoundTransaction(DISCLOSURE, seats[HONEST], 0, bytes(32)))
        yield self.wrong("bad-round-duplicate", right[0], self.disclosure(seats[HONEST], 0))
        yield self.wrong("bad-round-seat", right[0], self.challenge(seats[HONEST], 1))
        yield self.wrong("bad-round-seat", self.commit(seats[NONE]))
        yield self.wrong("bad-round-disclosure", self.disclosure(seats[HONEST], (j + 1) % FIELDS["segments"]))
        blob = right[0][1]
        for at in (0, -1, len(blob) // 2):
            bad = bytearray(blob)
            bad[at] ^= 1
            bad = bytes(bad)
            other = RoundTransaction(DISCLOSURE, seats[HONEST], self.length(seats[HONEST]), blob_root(bad))
            yield self.wrong("bad-round-disclosure", (other, bad))

    def wrong_challenges(self, seats, right):
        yield self.wrong("bad-round-seat", RoundTransaction(CHALLENGE, seats[CHALLENGED], CHALLENGED_LENGTH, bytes(32)))
        yield self.wrong("bad-round-seat", RoundTransaction(CHALLENGE, seats[SECOND], SECOND_LENGTH, bytes(32)))
        yield self.wrong("bad-round-seat", RoundTransaction(CHALLENGE, seats[SILENT], 0, bytes(32)))
        yield self.wrong("bad-round-seat", RoundTransaction(CHALLENGE, seats[NONE], 0, bytes(32)))
        others = [self.challenge(seats[seat], 0) for seat in (HONEST, SECOND, COPIED, OUT_OF_BOUNDS)]
        yield self.wrong("bad-round-count", *right, *others)
        yield self.wrong("bad-round-duplicate", *right, self.challenge(seats[CHALLENGED], 1))
        yield self.wrong("bad-round-challenge", self.challenge(seats[HONEST], 1))
        yield self.wrong("bad-round-challenge", self.challenge(seats[CHALLENGED], 1))  # that one is honest
        other, blob = self.challenge(seats[CHALLENGED], 1)
        yield self.wrong("bad-round-challenge", (RoundTransaction(CHALLENGE, other.height, 0, other.root), blob))

    def wrong_spends(self, struck_coinbase):
        """Of the coin that was taken, and of one that is not there beside the outpoint of round transactions."""
        output, missing = (1000, payee(public_key(1))), (bytes([1]) * 32, 0, b"", 0, [bytes(64)])
        yield self.wrong("bad-txns-inputs-missingorspent",
                         Transaction(2, [(struck_coinbase, 0, b"", 0, [bytes(64)])], [output]))
        yield self.wrong("bad-txns-inputs-missingorspent",
                         Transaction(2, [missing, (bytes(32), INDEX, b"", 0, [bytes(64)])], [output]))

    def wrong_statements(self):
        def state(at):
            def change(transaction):
                script = bytearray(transaction.outputs[-1][1])
                script[at] ^= 1
                transaction.outputs[-1] = 0, bytes(script)
            return change

        def leave_out(transaction):
            transaction.outputs.pop()

        def keep_pay(transaction):
            transaction.outputs.pop(1)

        yield self.wrong("bad-cb-outcome", pay=state(-1))
        yield self.wrong("bad-cb-outcome", pay=state(-1 - P))
        yield self.wrong("bad-cb-outputs", pay=leave_out)
        yield self.wrong("bad-cb-outputs", pay=keep_pay)

    def reason(self, block, blobs):
        """Why the judge refuses a block; None: it is the tip now."""
        try:
            self.chain.judge(Block.parse(block.serialise()), blobs)
        except Wrong as why:
            return str(why)
        return None

    def append(self, pair):
        """A right block and its blobs."""
        tap.equal(self.reason(*pair), None, f"the judge's reason at height {self.chain.height() + 1}")

    def tell(self, last, also):
        """All blocks up to a height, wrong and right. also: is shown each one too."""
        while self.chain.height() < last:
            right = self.right()
            if self.chain.height() == FIRST + 4:
                self.before_challenge = self.chain.fork()
            for reason, block, blobs in self.wrongs(right):
                tap.equal(self.reason(block, blobs), reason, f"the judge's reason at height {self.chain.height() + 1}")
                also(block, blobs, reason)
            block, blobs = self.block(*right)
            self.append((block, blobs))
            also(block, blobs, None)
            if self.chain.merged:
                self.check_merge()

    def check_merge(self):
        base, found = self.chain.height() - P, self.chain.merged
        if base == FIRST:
            tap.equal([seat in (MERGED, LEFT_OUT) for seat in found.seats], [True, True] + [False] * 6, "true seats")
            tap.equal(found.seats[COPIED:], [STRUCK] * 5 + [EMPTY], "the other seats")
        elif base == SECOND_BASE:
            slips = self.chain.audited(base - P + 1 + CHALLENGED) != 0
            tap.equal(found.seats[CHALLENGED] != STRUCK, slips, "whether the forged run slips through")
            tap.equal(found.seats[SECOND], EMPTY, "a seat without a commit")
        else:
            tap.equal((found.void, found.seats), (True, [EMPTY] * P), "a round without runs")
            tap.equal(any(self.chain.state()[1]), False, "momentum after a void merge")


class Listener:
    """A real node that is shown every block, and asked what it makes of it."""

    def __init__(self, chain, fields=None):
        fields = fields or FIELDS
        self.chain, self.node = chain, Node("-debug=model", chain=fields["name"], start=False)
        self.blobs = {}  # of all blocks so far
        self.node.use_spec(fields)
        self.node.start()
        tap.equal(self.node.rpc.getblockhash(0), shown(chain.tip().id()), "genesis")

    def verdict(self, block):
        try:
            return self.node.rpc.submitblock(block.serialise().hex())
        except RpcError as error:
            return str(error)

    def serve(self, peer):
        """The peer has all bytes so far."""
        for root, blob in self.blobs.items():
            peer.give(root, blob)

    def hear(self, block, blobs, reason):
        """The node says what the judge says."""
        self.ask(block, blobs, reason)
        if reason is None:
            self.compare()

    def ask(self, block, blobs, reason):
        self.blobs.update(blobs)
        with Peer(self.node) as peer:
            self.serve(peer)
            found = self.verdict(block)
        tap.equal(found, reason, f"what the node says of a block with the parent {shown(block.header.prev)}")

    def compare(self):
        """Tip, state, and output 0 of each coinbase so far: there, or taken from who was struck."""
        height = self.chain.height()
        tap.equal(self.node.tip(), shown(self.chain.tip().id()), f"tip at height {height}")
        tap.equal(self.node.model_root(), shown(model_root(*self.chain.state())), f"state after height {height}")
        for height, block in enumerate(self.chain.branch[1:], 1):
            txid = block.transactions[0].txid()
            told = self.node.rpc.gettxout(shown(txid), 0) is not None
            tap.equal(told, (txid, 0) in self.chain.coins, f"whether the coin of height {height} is there")

    def show_branch(self, chain, first):
        """The blocks from a height on of a branch that has more work than the active one, by its last block alone."""
        for block in chain.branch[first:-1]:
            self.ask(block, {}, "inconclusive")
        self.ask(chain.branch[-1], {}, None)
        self.chain = chain
        self.compare()
