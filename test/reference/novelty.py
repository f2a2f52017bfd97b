"""Section 12: what a blob is refused for: pages that nobody means to contribute, and too much of what is there already."""

from .hashing import blob_root, pages, sha256

MASK = (1 << 64) - 1
STRING, SAMPLED, CROWDED, WORD = 16, 64, 32, 8


class Refused(Exception):
    """A blob that cannot be registered; its text is the reason."""


def siphash(string):
    """SipHash-2-4 of the bytes, with a key of zeros."""
    def turn(x, bits):
        return (x << bits | x >> 64 - bits) & MASK

    def rounds(v0, v1, v2, v3, count):
        for _ in range(count):
            v0, v2 = v0 + v1 & MASK, v2 + v3 & MASK
            v1, v3 = turn(v1, 13) ^ v0, turn(v3, 16) ^ v2
            v0 = turn(v0, 32)
            v2, v0 = v2 + v1 & MASK, v0 + v3 & MASK
            v1, v3 = turn(v1, 17) ^ v2, turn(v3, 21) ^ v0
            v2 = turn(v2, 32)
        return v0, v1, v2, v3

    v = (0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573)
    whole = len(string) // 8 * 8
    words = [string[i:i + 8] for i in range(0, whole, 8)]
    words.append(string[whole:].ljust(7, b"\0") + bytes([len(string) & 0xff]))
    for word in words:
        m = int.from_bytes(word, "little")
        v = rounds(v[0], v[1], v[2], v[3] ^ m, 2)
        v = (v[0] ^ m, v[1], v[2], v[3])
    v = rounds(v[0], v[1], v[2] ^ 0xff, v[3], 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def strings(data, size):
    return {data[i:i + size] for i in range(len(data) - size + 1)}


def hashes(data):
    """s of every string of 16 bytes, each once."""
    return {siphash(string) for string in strings(data, STRING)}


def page_verdicts(blob, distinct, judged):
    """good, poor or repeated for each page of 4096 bytes."""
    verdicts, seen = [], set()
    for page in pages(blob, 4096):
        verdict = "good"
        if distinct and sha256(page) in seen:
            verdict = "repeated"
        if distinct and len(page) >= judged and len(hashes(page)) * 4081 < distinct * (len(page) - 15):
            verdict = "poor"
        seen.add(sha256(page))
        verdicts.append(verdict)
    return verdicts


def samples(blob):
    """Its sampled strings, by their s."""
    return {s for s in hashes(blob) if s % SAMPLED == 0}


def check_alone(spec, blob):
    """The samples of a blob that holds by itself."""
    if set(page_verdicts(blob, spec.page_distinct, spec.page_judged)) - {"good"}:
        raise Refused("bad-contrib-pages")
    sampled = samples(blob)
    if len(sampled) > len(blob) // CROWDED:
        raise Refused("bad-contrib-novelty")
    words = strings(blob, WORD)
    if 4 * len(words & strings(spec.benchmark(), WORD)) > len(words):
        raise Refused("bad-contrib-novelty")
    return sampled


def resembles(sampled, dataset_samples):
    """Whether more than a third of a blob's samples are in one dataset."""
    return 3 * len(sampled & dataset_samples) > len(sampled)


class Novelty:
    """What is registered on a branch: the samples of its datasets, dataset 0 first."""

    def __init__(self, spec):
        self.spec, self.datasets, self.roots = spec, [samples(spec.dataset())], [blob_root(spec.dataset())]

    def register(self, blob):
        if blob_root(blob) in self.roots:
            return  # it replaces: the bytes were held to the rules when they became a dataset
        sampled = check_alone(self.spec, blob)
        if any(resembles(sampled, dataset) for dataset in self.datasets):
            raise Refused("bad-contrib-novelty")
        self.datasets.append(sampled)
        self.roots.append(blob_root(blob))
