"""The protocol's bytes in Python, written from doc/protocol.md: headers, transactions, blocks, messages, addresses."""

import hashlib
import io
import struct

PROTOCOL = 1
MESSAGE_MAX = 1 << 25
HEADER_SIZE, SEED_SIZE = 212, 180
INVENTORY_TX, INVENTORY_BLOCK, INVENTORY_PROOF, INVENTORY_BLOB = 1, 2, 3, 4
MAX_MONEY = 21 * 10 ** 14


def sha256(data):
    return hashlib.sha256(data).digest()


def sha256d(data):
    return sha256(sha256(data))


def shown(id_bytes):
    """An id as people see it: reversed hexadecimal text."""
    return id_bytes[::-1].hex()


def stored(text):
    """The bytes of an id that is shown."""
    return bytes.fromhex(text)[::-1]


def merkle_root(items):
    level = [sha256(b"\x00" + item) for item in items]
    if not level:
        return bytes(32)
    while len(level) > 1:
        pairs = [sha256(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1:]
    return level[0]


def compact(number):
    if number < 0xfd:
        return bytes([number])
    if number <= 0xffff:
        return b"\xfd" + struct.pack("<H", number)
    if number <= 0xffffffff:
        return b"\xfe" + struct.pack("<I", number)
    return b"\xff" + struct.pack("<Q", number)


class Reader:
    def __init__(self, data):
        self.stream = io.BytesIO(data)

    def bytes(self, size):
        data = self.stream.read(size)
        if len(data) != size:
            raise ValueError("the bytes end too early")
        return data

    def unpack(self, format):
        values = struct.unpack("<" + format, self.bytes(struct.calcsize("<" + format)))
        return values[0] if len(values) == 1 else values

    def compact(self):
        first = self.unpack("B")
        return first if first < 0xfd else self.unpack({0xfd: "H", 0xfe: "I", 0xff: "Q"}[first])

    def text(self):
        return self.bytes(self.compact())

    def rest(self):
        return self.stream.read()


def target_of(bits):
    """The number that compact bits stand for."""
    size, value = bits >> 24, bits & 0x007fffff
    return value >> 8 * (3 - size) if size <= 3 else value << 8 * (size - 3)


class Header:
    FORMAT = "<I32s32s32s32s32sIIQ32s"
    FIELDS = ("version", "prev", "tx_root", "proofs_root", "model_root", "miner", "time", "bits", "nonce", "digest")

    def __init__(self, **fields):
        values = dict(version=1, prev=bytes(32), tx_root=bytes(32), proofs_root=bytes(32), model_root=bytes(32),
                      miner=bytes(32), time=0, bits=0, nonce=0, digest=bytes(32))
        unknown = set(fields) - set(values)
        if unknown:
            raise TypeError(f"a header has no {unknown}")
        for name, value in {**values, **fields}.items():
            setattr(self, name, value)

    @classmethod
    def parse(cls, data):
        return cls(**dict(zip(cls.FIELDS, struct.unpack(cls.FORMAT, data))))

    def serialise(self):
        return struct.pack(self.FORMAT, *(getattr(self, name) for name in self.FIELDS))

    def copy(self, **changes):
        return Header(**{**{name: getattr(self, name) for name in self.FIELDS}, **changes})

    def seed(self):
        return sha256d(self.serialise()[:SEED_SIZE])

    def ticket(self):
        return sha256d(self.seed() + self.digest)

    def id(self):
        return sha256d(self.serialise())

    def ticket_number(self):
        return int.from_bytes(self.ticket(), "little")

    def is_block(self):
        return self.ticket_number() <= target_of(self.bits)

    def is_share(self, k):
        return self.ticket_number() <= min(k * target_of(self.bits), 2 ** 256 - 1)


class Transaction:
    """inputs: (txid, index, script, sequence, [witness, ...]); outputs: (amount, script)."""

    def __init__(self, version=2, inputs=(), outputs=(), locktime=0):
        self.version, self.inputs, self.outputs, self.locktime = version, list(inputs), list(outputs), locktime

    @classmethod
    def read(cls, reader):
        version, count = reader.unpack("I"), reader.compact()
        segwit = count == 0
        if segwit:
            if reader.unpack("B") != 1:
                raise ValueError("unknown flag of a transaction")
            count = reader.compact()
        plain = [(reader.bytes(32), reader.unpack("I"), reader.text(), reader.unpack("I")) for _ in range(count)]
        outputs = [(reader.unpack("q"), reader.text()) for _ in range(reader.compact())]
        witnesses = [[reader.text() for _ in range(reader.compact())] if segwit else [] for _ in plain]
        inputs = [(*start, witness) for start, witness in zip(plain, witnesses)]
        return cls(version, inputs, outputs, reader.unpack("I"))

    def serialise(self, witness=True):
        witness = witness and any(item[4] for item in self.inputs)
        data = struct.pack("<I", self.version) + (b"\x00\x01" if witness else b"") + compact(len(self.inputs))
        for txid, index, script, sequence, _ in self.inputs:
            data += txid + struct.pack("<I", index) + compact(len(script)) + script + struct.pack("<I", sequence)
        data += compact(len(self.outputs))
        for amount, script in self.outputs:
            data += struct.pack("<q", amount) + compact(len(script)) + script
        for item in self.inputs if witness else ():
            data += compact(len(item[4])) + b"".join(compact(len(part)) + part for part in item[4])
        return data + struct.pack("<I", self.locktime)

    def txid(self):
        return sha256d(self.serialise(witness=False))

    def wtxid(self):
        return sha256d(self.serialise())


class Block:
    """Without bodies, as on the wire."""

    def __init__(self, header, transactions=(), loose=()):
        self.header, self.transactions, self.loose = header, list(transactions), list(loose)

    @classmethod
    def parse(cls, data):
        reader = Reader(data)
        header = Header.parse(reader.bytes(HEADER_SIZE))
        transactions = [Transaction.read(reader) for _ in range(reader.compact())]
        loose = [Header.parse(reader.bytes(HEADER_SIZE)) for _ in range(reader.compact())]
        return cls(header, transactions, loose)

    def serialise(self):
        return (self.header.serialise() + compact(len(self.transactions)) +
                b"".join(transaction.serialise() for transaction in self.transactions) + compact(len(self.loose)) +
                b"".join(header.serialise() for header in self.loose) + b"\x00")

    def tx_root(self):
        leaves = [transaction.wtxid() for transaction in self.transactions]
        return merkle_root([self.transactions[0].txid(), *leaves[1:]] if leaves else [])

    def proofs_root(self):
        return merkle_root([header.id() for header in self.loose])


# Messages.

def frame(magic, command, payload=b""):
    return (magic + command.encode().ljust(12, b"\x00") + struct.pack("<I", len(payload)) + sha256d(payload)[:4] +
            payload)


def version_payload(nonce=1, version=PROTOCOL, agent=b"/test:1/", height=0, time=0, relay=True):
    return (struct.pack("<IQq", version, 1, time) + bytes(52) + struct.pack("<Q", nonce) + compact(len(agent)) + agent +
            struct.pack("<IB", height, relay))


def inventory_payload(*items):
    return compact(len(items)) + b"".join(struct.pack("<I", kind) + id_bytes for kind, id_bytes in items)


def parse_inventory(payload):
    reader = Reader(payload)
    return [(reader.unpack("I"), reader.bytes(32)) for _ in range(reader.compact())]


def getheaders_payload(*ids, stop=bytes(32)):
    return struct.pack("<I", PROTOCOL) + compact(len(ids)) + b"".join(ids) + stop


def headers_payload(*headers):
    return compact(len(headers)) + b"".join(header.serialise() for header in headers)


def parse_headers(payload):
    reader = Reader(payload)
    return [Header.parse(reader.bytes(HEADER_SIZE)) for _ in range(reader.compact())]


# Addresses: BIP350.

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def polymod(values):
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1ffffff) << 5 ^ value
        for i, generator in enumerate((0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3)):
            check ^= generator if top >> i & 1 else 0
    return check


def address(hrp, key):
    """The address of a 32-byte taproot output key."""
    number = int.from_bytes(key, "big") << 4
    data = [1] + [number >> 5 * (51 - i) & 31 for i in range(52)]
    prefix = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = polymod(prefix + data + [0] * 6) ^ 0x2bc830a3
    return hrp + "1" + "".join(ALPHABET[v] for v in data + [check >> 5 * (5 - i) & 31 for i in range(6)])
