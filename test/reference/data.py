"""Section 12: what data contributions burn, and their licences."""

import re


RATE_MAX = 1 << 54
RATE_WINDOW = 12
DEBT_BLOCKS = 2016


def first_rate(spec):
    return spec.burn_rate * 65536


def next_rate(spec, rate, debt, used):
    """Rate and debt after a block that registers so many bytes, from those after its parent."""
    target = spec.blob_budget // 64
    counted = min(used, 2 * target)
    filled = min(debt, max(0, target - counted))
    debt = min(DEBT_BLOCKS * target, debt - filled + used - counted)
    rate += rate * (counted + filled - target) // (8 * target)
    return min(RATE_MAX, max(first_rate(spec), rate)), debt


def asked_rate(rates):
    """What the child of the last of some blocks must pay; rates: after each of them, from genesis on."""
    return min(rates[-RATE_WINDOW:])


def offered_rate(spec, rates):
    """What a wallet burns by: no rule, but what the node does."""
    rate = rates[-1] + rates[-1] // 8 * (rates[-1] > first_rate(spec))
    return min(RATE_MAX, rate)


def least_burn(rate, size):
    return -(-rate * size // 65536)


LICENCE_MAX, LICENCE_DEPTH = 64, 8
OPERAND = re.compile(r"((?:LicenseRef-)?[A-Za-z0-9.-]+?)(\+?)((?: WITH [A-Za-z0-9.-]+)?)(?=[ )]|$)")
OPERATORS = ("AND", "OR", "WITH")


class Licence:
    """A licence expression, read by the grammar from the left; ValueError if it is none."""

    def __init__(self, text, admitted=()):
        self.rest, self.depth, self.admitted = text, 0, {one.lower() for one in admitted}
        if not 1 <= len(text) <= LICENCE_MAX:
            raise ValueError("length")
        self.is_satisfied = self.alternatives()
        if self.rest:
            raise ValueError(f"what is {self.rest!r}?")

    def skip(self, text):
        found = self.rest.startswith(text)
        self.rest = self.rest[len(text) * found:]
        return found

    def alternatives(self):
        parts = [self.conjunction()]
        while self.skip(" OR "):
            parts.append(self.conjunction())
        return any(parts)

    def conjunction(self):
        parts = [self.part()]
        while self.skip(" AND "):
            parts.append(self.part())
        return all(parts)

    def part(self):
        if not self.skip("("):
            return self.operand()
        self.depth += 1
        if self.depth > LICENCE_DEPTH:
            raise ValueError("depth")
        inner = self.alternatives()
        if not self.skip(")"):
            raise ValueError("no )")
        self.depth -= 1
        return inner

    def operand(self):
        match = OPERAND.match(self.rest)
        if not match:
            raise ValueError("no operand")
        name, plus, exception = match.groups()
        own = name.startswith("LicenseRef-")
        if name in OPERATORS or exception[6:] in OPERATORS or own and (plus or name == "LicenseRef-"):
            raise ValueError(f"not an operand: {match[0]}")
        self.rest = self.rest[match.end():]
        return any(one.lower() in self.admitted for one in (name, name + plus, name + plus + exception))


def judge_licence(text, admitted):
    """What a chain with this list says of a licence: bad, refused or admitted."""
    try:
        licence = Licence(text, admitted)
    except ValueError:
        return "bad"
    return "admitted" if not admitted or licence.is_satisfied else "refused"
