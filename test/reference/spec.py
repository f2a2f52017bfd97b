"""Section 16: chain specs and genesis, the built-in ones as the document's table has them."""

import functools
import os
import struct

from .document import SOURCE, section
from .hashing import blob_root, compact, sha256
from .headers import Header
from .model import Model, drawn_pieces, drawn_theta, initial_key
from .runs import disclosure_size
from .state import initial_root_of


class Spec:
    """A chain spec: the fields of section 16's table, by name, and its corpus."""

    RULES = 7

    ORDER = ("genesis_time spacing start_bits k d layers heads ff ctx memory batch iterations slots bench_rows bench_bytes "
             "lr_ppm wd_ppm mu_ppm eta_ppm gate_ppm v_0 v_min subsidy halving maturity data_delay commit_delay "
             "burn_rate blob_min blob_max blob_budget page_distinct page_judged block_weight corpus_size").split()

    ROUNDS = "round_blocks round_work round_reveal segments segment run_ppm first_segments".split()  # section 20

    def __init__(self, fields, corpus):
        self.licences, self.usage_ppm = [], 0
        self.__dict__.update({**dict.fromkeys(self.ROUNDS, 0), **fields})
        self.first_segments = self.first_segments or self.segments
        self.corpus, self.corpus_size = corpus, len(corpus)
        self.model = Model(self.d, self.layers, self.heads, self.ff, self.ctx, 2.0 ** -40 if self.round_blocks else 0.0)

    @functools.cached_property
    def theta(self):
        """Of the initial state."""
        return drawn_theta(self.model, initial_key(self.name))

    @functools.cached_property
    def initial_root(self):
        known = [self.theta] if "theta" in vars(self) else None
        return initial_root_of(known or drawn_pieces(self.model, initial_key(self.name)))

    def commitment(self):
        texts = struct.pack("<Q", self.RULES) + b"".join(compact(len(t)) + t.encode() for t in (self.name, self.hrp))
        order = self.ORDER + (self.ROUNDS if self.round_blocks else [])
        numbers = b"".join(struct.pack("<Q", getattr(self, field)) for field in order)
        licences = compact(len(self.licences)) + b"".join(compact(len(t)) + t.encode() for t in self.licences)
        usage = struct.pack("<Q", self.usage_ppm) if self.usage_ppm else b""
        return sha256(texts + numbers + blob_root(self.corpus) + licences + usage)

    def has_right_rounds(self):
        """Whether the fields of section 20 are within their limits, those of section 16 being so."""
        if self.round_blocks == 0:
            return not any(getattr(self, field) for field in self.ROUNDS)
        return (5 <= self.round_blocks <= 240 and 2 * self.round_blocks + 1 <= self.maturity and
                min(self.round_work, self.round_reveal) >= 1 and
                self.round_work + 1 + self.round_reveal <= self.round_blocks - 2 and
                1 <= self.first_segments <= self.segments <= 1024 and 1 <= self.segment <= 1024 and
                4 * self.lr_ppm * self.segment * self.segments <= 126 * 10 ** 6 and
                0 <= self.run_ppm <= 500000 and disclosure_size(self, self.segments) <= 2 ** 26 and
                self.block_weight >= 4000 + 176 * self.round_blocks)

    def most_segments(self, base):
        """Of a run of the round of that base."""
        return min(self.segments, self.first_segments * 4 ** (base // self.round_blocks - 1))

    def dataset(self):
        """Dataset 0."""
        return self.corpus[:-self.bench_bytes]

    def benchmark(self):
        return self.corpus[-self.bench_bytes:]

    def genesis(self):
        return Header(model_root=self.initial_root, time=self.genesis_time,
                      bits=self.start_bits, digest=self.commitment())


def built_in_fields(chain):
    """The table's first column names fields, the others are regtest, test and main."""
    fields = {}
    for line in section(16).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4 or cells[0] in ("field", "---"):
            continue
        names, values = cells[0].split(", "), cells[1 + ("regtest", "test", "main").index(chain)].split(", ")
        assert len(values) == len(names), line
        fields.update((name, int(v, 0) if v[0].isdigit() else v) for name, v in zip(names, values))
    return fields


def built_in(chain, corpus=None, **changes):
    """A chain of the table, or one like it, of another corpus or in other fields."""
    fields = built_in_fields(chain)
    if corpus is None:
        with open(os.path.join(SOURCE, "data", "genesis.txt"), "rb") as file:
            corpus = file.read()
        assert len(corpus) == fields["corpus_size"]
    return Spec({**fields, **changes}, corpus)
