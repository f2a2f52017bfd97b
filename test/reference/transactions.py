"""Section 11: transactions, their scripts, and the addresses that name them (BIP350)."""

import struct

from .hashing import compact, sha256, sha256d
from .signatures import sign, tagged


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


def signed(transaction, secret, coins):
    """With a signature of this key for each input, which spends the coin in its place (BIP341, SIGHASH_DEFAULT)."""
    parts = [b"".join(txid + struct.pack("<I", index) for txid, index, *_ in transaction.inputs),
             b"".join(struct.pack("<q", coin.amount) for coin in coins),
             b"".join(compact(len(coin.script)) + coin.script for coin in coins),
             b"".join(struct.pack("<I", sequence) for _, _, _, sequence, _ in transaction.inputs),
             b"".join(struct.pack("<q", amount) + compact(len(script)) + script for amount, script in transaction.outputs)]
    head = struct.pack("<BBII", 0, 0, transaction.version, transaction.locktime) + b"".join(map(sha256, parts)) + b"\0"
    transaction.inputs = [(*item[:4], [sign(secret, tagged(b"TapSighash", head + struct.pack("<I", i)))])
                          for i, item in enumerate(transaction.inputs)]
    return transaction


def push(data):
    return (b"" if len(data) <= 75 else b"\x4c") + bytes([len(data)]) + data


def payee(key):
    """The output script that pays a taproot output key."""
    return b"\x51\x20" + key


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
