"""Files of weights, read and written from their descriptions: safetensors and GGUF. Tensors are {name: (shape, values)}."""

import json
import math
import struct

# ---- safetensors ----


def encoded(kind, values):
    """Bytes of values in F32, F16, or BF16, which is the upper half of F32."""
    data = struct.pack(f"<{len(values)}{'e' if kind == 'F16' else 'f'}", *values)
    return b"".join(data[i + 2:i + 4] for i in range(0, len(data), 4)) if kind == "BF16" else data


def decoded(kind, data):
    if kind == "BF16":
        data = b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2))
    letter, size = ("e", 2) if kind == "F16" else ("f", 4)
    return list(struct.unpack(f"<{len(data) // size}{letter}", data))


def read_safetensors(path):
    """{name: (shape, [values])}, and the header's metadata."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    body, tensors, covered = data[8 + length:], {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        assert begin == covered, f"{name} leaves a hole or overlaps"
        assert entry["dtype"] == "F32" and end - begin == 4 * math.prod(entry["shape"])
        tensors[name] = entry["shape"], decoded("F32", body[begin:end])
        covered = end
    assert covered == len(body)
    return tensors, metadata


def write_safetensors(path, tensors, dtype="F32"):
    header, body = {}, b""
    for name, (shape, values) in tensors.items():
        data = encoded(dtype, values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


# ---- GGUF ----

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
F32, Q8_0 = 0, 8


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0
        assert self.data[:4] == b"GGUF"
        self.at = 4
        version, tensors, keys = self.take("I"), self.take("Q"), self.take("Q")
        assert version == 3
        self.keys = {}
        for _ in range(keys):
            name = self.string()
            assert name not in self.keys
            self.keys[name] = self.value(self.take("I"))
        places = [self.place() for _ in range(tensors)]
        alignment = self.keys.get("general.alignment", 32)
        self.start = -(-self.at // alignment) * alignment
        assert all(offset % alignment == 0 for *_, offset in places)
        self.types = {name: kind for name, _, kind, _ in places}
        self.tensors = {name: (shape, self.values(shape, kind, offset)) for name, shape, kind, offset in places}

    def take(self, letter):
        (value,) = struct.unpack_from("<" + letter, self.data, self.at)
        self.at += struct.calcsize("<" + letter)
        return value

    def string(self):
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            kind, count = self.take("I"), self.take("Q")
            return [self.value(kind) for _ in range(count)]
        return self.take(SCALARS[kind])

    def place(self):
        name = self.string()
        shape = [self.take("Q") for _ in range(self.take("I"))][::-1]  # the file has the contiguous one first
        return name, shape, self.take("I"), self.take("Q")

    def values(self, shape, kind, offset):
        count, at = math.prod(shape), self.start + offset
        if kind == F32:
            return decoded("F32", self.data[at:at + 4 * count])
        assert kind == Q8_0 and shape[-1] % 32 == 0
        values = []
        for block in range(count // 32):
            scale, *whole = struct.unpack_from("<e32b", self.data, at + 34 * block)
            values += [scale * q for q in whole]
        return values


def byte_texts():
    """GPT-2's text of each byte: what is printable in Latin-1 is itself, the others are U+0100 and up."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in kept]
    return [chr(byte) if byte in kept else chr(256 + others.index(byte)) for byte in range(256)]
