"""A chain that is followed, or made, block by block: sections 8, 10, 13, 14 and 20 together.

What is left to others: time beyond now, weights of transactions, witnesses and locks of payments, who may contribute what, and
quarantine."""

import copy

from .contributions import Registration
from .draws import SLOT, draw, mulhi
from .hashing import sha256
from .headers import Block, Header
from .late import late_fault, median_time, place
from .merge import EMPTY, STRUCK, is_true, merge
from .pace import BACK, least_time, most_proofs
from .reward import FULL_WEIGHT, coinbase, draw_datasets, draw_seats, is_harmful, is_proven, proof_worth, reference_value
from .round_tx import CHALLENGE, DISCLOSURE, Round, RoundTransaction, base_of, is_round, round_fault
from .runs import Disclosure, Run, is_challenge, is_disclosure
from .signatures import lifted
from .state import Outcome, model_root, update_state
from .step import step
from .targets import next_bits
from .transactions import payee

VALUES_WINDOW = 2016
COINBASE_INPUT = bytes(32), 0xffffffff


class Wrong(Exception):
    """A block is not right; its text is the reason."""


def require(condition, reason):
    if not condition:
        raise Wrong(reason)


class Coin:
    def __init__(self, amount, script, height, of_coinbase):
        self.amount, self.script, self.height, self.of_coinbase = amount, script, height, of_coinbase


class Dataset:
    def __init__(self, data, registration=None, height=0):
        self.data, self.owner, self.height = data, registration and registration.owner, height
        self.effects = []  # floor(A / 65536) of its draws


class Chain:
    """The state after the tip, and what the next block needs besides. `merged` is what the tip's merge states, if it has one."""

    def __init__(self, spec):
        self.spec, self.branch = spec, [Block(spec.genesis())]
        self.states = [(spec.theta, [0.0] * spec.model.n)]  # after each block
        self.bucket, self.outcomes, self.coins = 0, [Outcome(True)], {}
        self.v_refs = [spec.v_0]  # of each block
        self.datasets = [Dataset(spec.dataset())]
        self.drawn, self.seats = [], {}  # numbers of datasets: of the slots of each block's child; of a base's seats
        self.shown = {}    # by height of a disclosed seat: the parts of its disclosure
        self.merged, self.losses = None, None  # of the tip's merge; its l0 and l1
        self.futile = set()  # heights of merges that came to nothing
        self.bodies = {}    # by seed, of steps on this branch: executed once
        self.draw()

    def fork(self):
        """Another chain that has been the same so far."""
        other = copy.copy(self)
        other.branch, other.states, other.outcomes = list(self.branch), list(self.states), list(self.outcomes)
        other.coins, other.shown, other.v_refs = dict(self.coins), dict(self.shown), list(self.v_refs)
        other.datasets = [copy.copy(dataset) for dataset in self.datasets]
        other.drawn, other.seats, other.futile = list(self.drawn), dict(self.seats), set(self.futile)
        return other

    def height(self):
        return len(self.branch) - 1

    def tip(self):
        return self.branch[-1].header

    def state(self):
        return self.states[-1]

    # What the next block must be.

    def proof_fields(self):
        """Of the next block and its loose proofs."""
        return {"version": 1, "prev": self.tip().id(), "bits": next_bits(self.spec, self.height(), self.tip().time),
                "model_root": model_root(*self.state())}

    def least_time(self):
        height = self.height() + 1
        pace = least_time(self.spec, height, self.branch[max(0, height - BACK)].header.time)
        return max(pace, median_time(self.branch) + 1)

    def weights(self, height):
        """Of the datasets that a block at this height may draw, with their numbers."""
        return [(number, min(len(dataset.data), FULL_WEIGHT)) for number, dataset in enumerate(self.datasets)
                if number == 0 or height >= dataset.height + self.spec.data_delay]

    def proven(self):
        """The datasets that are, for the next block."""
        return [number for number, dataset in enumerate(self.datasets)
                if number == 0 or is_proven(self.spec, dataset.effects)]

    def draw(self):
        """By the tip, for what comes after it."""
        height, ticket = self.height(), self.tip().ticket()
        self.drawn.append(draw_datasets(self.spec, ticket, self.weights(height + 1)))
        if self.spec.round_blocks and height and height % self.spec.round_blocks == 0:
            self.seats[height] = draw_seats(self.weights(height + 1), self.proven(), ticket, self.spec.round_blocks)

    def bytes_of(self, height, slot):
        """The dataset of a slot of the child of the block at this height."""
        return self.datasets[self.drawn[height][slot]].data

    def v_ref(self):
        """Of the next block."""
        recent = self.outcomes[-VALUES_WINDOW:]
        return reference_value(self.spec, [slot.value for outcome in recent for slot in outcome.slots
                                           if slot.value >= self.spec.v_min])

    def merged_round(self):
        """Of the round that the tip merged: height, length and key of each seat, and what became of it."""
        if self.merged is None:
            return []
        record = Round(self.spec, self.branch, self.height() - self.spec.round_blocks)
        return [(height, record.length(height), self.branch[height].header.miner, seat)
                for height, seat in zip(record.heights(), self.merged.seats)]

    def coinbase(self, block, fees):
        late = [(proof.miner, len(self.branch) - 1 - place(self.branch, proof)) for proof in block.late]
        true = [(height, length, key) for height, length, key, seat in self.merged_round() if is_true(seat)]
        pays = (true, self.merged.script()) if self.merged else None
        owners = [self.datasets[number].owner for number in self.drawn[self.height() - 1]] if self.height() else []
        weight = sum(weight for _, weight in self.weights(self.height()))
        return coinbase(self.spec, self.height() + 1, fees, block.header.miner, [proof.miner for proof in block.loose],
                        self.bucket, self.outcomes[-1], owners, self.v_refs[-1], weight, late, pays)

    # Runs.

    def run(self, height):
        """Of the seat of the block at this height."""
        base = base_of(self.spec, height) + self.spec.round_blocks
        dataset = self.datasets[self.seats[base][height - (base - self.spec.round_blocks + 1)]]
        ticket, seat_id = self.branch[base].header.ticket(), self.branch[height].header.id()
        return Run(self.spec, self.states[base][0], ticket, seat_id, dataset.data)

    def audited(self, height):
        """j of a seat that has committed, whose beacon has been mined."""
        return Round(self.spec, self.branch, base_of(self.spec, height) + self.spec.round_blocks).audited(height)

    def verdict(self, record, height):
        """Code and length of a true seat, else EMPTY or STRUCK."""
        if height not in record.commits:
            return EMPTY
        if height not in record.disclosures or height in record.challenges:
            return STRUCK
        parts, j = self.shown[height], self.audited(height)
        is_right = self.run(height).follows(j, parts.code, parts.digests[j + 1])
        return (parts.last, record.length(height)) if is_right else STRUCK

    # Following.

    def judge(self, block, blobs=()):
        """Makes the block the tip; Wrong if it is not right. blobs: by root, those that its transactions name."""
        found, coins = self.judge_form(block)
        deltas = [self.judge_step(proof, self.height()) for proof in block.proofs()]
        for proof in block.late:
            self.judge_step(proof, place(self.branch, proof))
        shown = self.judge_blobs(found, dict(blobs))
        self.go_on(block, deltas, coins, shown)
        self.register(block, dict(blobs))
        self.draw()

    def judge_form(self, block):
        """All that needs no work and no bytes. What it says of rounds, and the coins after it."""
        self.judge_header(block.header)
        self.judge_lists(block)
        found = self.judge_rounds(block)
        coins, fees = self.spend(block)
        self.judge_coinbase(block, fees)
        return found, coins

    def judge_header(self, header):
        wanted = self.proof_fields()
        assert header.prev == wanted["prev"]
        require(header.version == 1, "bad-version")
        require(header.bits == wanted["bits"], "bad-diffbits")
        require(header.time > median_time(self.branch), "time-too-old")
        require(header.time >= self.least_time(), "time-too-soon")
        require(header.is_block(), "high-hash")
        require(header.model_root == wanted["model_root"], "bad-model-root")
        require(is_key(header.miner), "bad-proof-key")

    def judge_lists(self, block):
        spec, header, transactions = self.spec, block.header, block.transactions
        require(transactions and is_coinbase(transactions[0]), "bad-cb-missing")
        require(not any(map(is_coinbase, transactions[1:])), "bad-cb-multiple")
        require(header.tx_root == block.tx_root(), "bad-txnmrklroot")
        base_time = self.branch[max(0, self.height() + 1 - BACK)].header.time
        require(len(block.loose + block.late) <= most_proofs(spec, header.time, base_time), "bad-proof-count")
        seeds = [proof.seed() for proof in block.loose]
        require(seeds == sorted(set(seeds) - {header.seed()}), "bad-proof-order")
        for proof in block.loose:
            require(all(getattr(proof, name) == value for name, value in self.proof_fields().items()), "bad-proof-parent")
            require(proof.time >= self.least_time(), "bad-proof-time")
            require(proof.is_share(spec.k) and not proof.is_block(), "bad-proof-ticket")
            require(is_key(proof.miner), "bad-proof-key")
        fault = late_fault(spec, self.branch, block)
        require(fault is None, fault)
        require(header.proofs_root == block.proofs_root(), "bad-proofs-root")

    def judge_rounds(self, block):
        """The round transactions."""
        if not self.spec.round_blocks:
            return []
        found = []
        for transaction in filter(is_round, block.transactions):
            try:
                found.append(RoundTransaction.parse(self.spec, transaction))
            except ValueError:
                require(False, "bad-round-format")
        fault = round_fault(self.spec, self.branch, block)
        require(fault is None, fault)
        return found

    def spend(self, block):
        """The coins after the block, and its fees."""
        coins, fees, height = dict(self.coins), 0, self.height() + 1
        for seat_height, _, key, seat in self.merged_round():
            out = self.branch[seat_height].transactions[0].txid(), 0
            if seat == STRUCK and out in coins and coins[out].script == payee(key):
                del coins[out]
        for transaction in block.transactions:
            of_coinbase = is_coinbase(transaction)
            if not of_coinbase and not (self.spec.round_blocks and is_round(transaction)):
                spent = [coins.pop(item[:2], None) for item in transaction.inputs]
                require(None not in spent, "bad-txns-inputs-missingorspent")
                require(all(height - coin.height >= self.spec.maturity for coin in spent if coin.of_coinbase),
                        "bad-txns-premature-spend-of-coinbase")
                fees += sum(coin.amount for coin in spent) - sum(amount for amount, _ in transaction.outputs)
            for i, (amount, script) in enumerate(transaction.outputs):
                if script[:1] != b"\x6a":
                    coins[transaction.txid(), i] = Coin(amount, script, height, of_coinbase)
        return coins, fees

    def judge_coinbase(self, block, fees):
        wanted, found = self.coinbase(block, fees), block.transactions[0]
        if found.serialise() == wanted.serialise():
            return
        form = [(one.version, one.locktime, one.inputs) for one in (found, wanted)]
        require(form[0] == form[1], "bad-cb-height")
        stated = 2 if self.merged else 1
        pays_right = len(found.outputs) == len(wanted.outputs) and found.outputs[:-stated] == wanted.outputs[:-stated]
        require(pays_right, "bad-cb-outputs")
        require(False, "bad-cb-outcome")

    def judge_step(self, proof, height):
        """The slot of a proof and its body; the parent has this height."""
        delta = self.execute(proof, height)
        require(sha256(delta) == proof.digest, "bad-proof-digest")
        return self.slot_of(proof), delta

    def slot_of(self, proof):
        return mulhi(draw(proof.seed(), SLOT, 0), self.spec.slots)

    def execute(self, proof, height):
        seed, ticket = proof.seed(), self.branch[height].header.ticket()
        if seed not in self.bodies:
            data = self.bytes_of(height, self.slot_of(proof))
            self.bodies[seed] = step(self.spec, self.states[height][0], ticket, seed, data)
        return self.bodies[seed]

    def judge_blobs(self, found, blobs):
        """What the block's disclosures show."""
        shown, record = {}, Round(self.spec, self.branch, base_of(self.spec, self.height() + 1)) if found else None
        for one in found:
            if one.kind == DISCLOSURE:
                blob, committed = blobs[one.root], record.commits[one.height].root
                holds = is_disclosure(self.spec, blob, one.number, committed, self.audited(one.height))
                require(holds, "bad-round-disclosure")
                shown[one.height] = Disclosure(self.spec, blob)
            if one.kind == CHALLENGE:
                holds = is_challenge(self.run(one.height), self.shown[one.height], one.number, blobs[one.root])
                require(holds, "bad-round-challenge")
        return shown

    def go_on(self, block, deltas, coins, shown):
        ticket, height = self.tip().ticket(), self.height() + 1
        datasets = [self.bytes_of(height - 1, slot) for slot in range(self.spec.slots)]
        v_ref, proven = self.v_ref(), self.proven()
        state, outcome, _ = update_state(self.spec, *self.state(), ticket, deltas, v_ref, datasets)
        self.check_effects()
        backs = [height - 1 - place(self.branch, proof) for proof in block.late]
        _, self.bucket = proof_worth(self.spec, height, self.bucket, len(block.loose), backs)
        self.branch.append(block)
        self.shown.update(shown)
        self.merged = None
        period = self.spec.round_blocks
        if period and height % period == 0 and height >= 2 * period:
            record = Round(self.spec, self.branch, height - period)
            seats = [self.verdict(record, seat) for seat in record.heights()]
            datasets = [self.datasets[number if number in proven else 0].data for number in self.seats[height - period]]
            state, self.merged, self.losses = merge(self.spec, state, ticket, seats,
                                                    datasets if height - period in self.futile else None)
            if self.merged.futile():
                self.futile.add(height)
        self.states.append(state)
        self.outcomes.append(outcome)
        self.v_refs.append(v_ref)
        self.coins = coins

    def check_effects(self):
        """Of the tip, whose outcome the next block states."""
        for slot, number in zip(self.outcomes[-1].slots, self.drawn[self.height() - 1]):
            dataset = self.datasets[number]
            if slot.count and dataset.owner:
                effects = dataset.effects + [slot.effect >> 16]
                assert not is_harmful(effects, self.v_refs[-1]), "the judge knows no quarantine"
                dataset.effects = effects

    def register(self, block, blobs):
        """The tip's contributions."""
        for transaction in block.transactions[1:]:
            for _, script in transaction.outputs:
                if script.startswith(b"\x6a") and b"atl\x01" in script[2:7]:
                    found = Registration.parse(script)
                    assert found.size == len(blobs[found.root]), "the blob is another"
                    self.datasets.append(Dataset(blobs[found.root], found, self.height()))

    # Making.

    def child(self, miner, transactions=(), pay=None, work=True, **changes):
        """The next block of this miner, with its own proof alone. pay: does something to the coinbase; work: or else the
        digest is none; changes: other header fields than the right ones."""
        time = max(self.least_time(), self.tip().time + 1)
        header = Header(**{**self.proof_fields(), "miner": miner, "time": time, **changes})
        block = Block(header, [None, *transactions])
        block.transactions[0] = self.coinbase(block, 0)
        if pay:
            pay(block.transactions[0])
        header.tx_root = block.tx_root()
        while True:
            if work:
                header.digest = sha256(self.execute(header, self.height()))
            if header.is_block():
                return block
            header.nonce += 1


def is_coinbase(transaction):
    return [item[:2] for item in transaction.inputs] == [COINBASE_INPUT]


def is_key(key):
    try:
        lifted(key)
    except ValueError:
        return False
    return True
