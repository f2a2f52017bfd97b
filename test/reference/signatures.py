"""BIP340: signatures by x-only keys."""

from .hashing import sha256

P = 2 ** 256 - 2 ** 32 - 977
ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
GENERATOR = (0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,
             0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)


def plus(p, q):
    """Of two points, as (x, y); None is the one at infinity."""
    if p is None or q is None:
        return p or q
    if p[0] == q[0] and (p[1] + q[1]) % P == 0:
        return None
    slope = 3 * p[0] ** 2 * pow(2 * p[1], -1, P) if p == q else (q[1] - p[1]) * pow(q[0] - p[0], -1, P)
    x = (slope ** 2 - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def times(scalar, point):
    result = None
    for bit in bin(scalar)[2:]:
        result = plus(result, result)
        result = plus(result, point) if bit == "1" else result
    return result


def lifted(key):
    """The point with an even y of an x-only key; ValueError: there is none."""
    x = int.from_bytes(key, "big")
    y = pow(x ** 3 + 7, (P + 1) // 4, P)
    if x >= P or (y ** 2 - x ** 3 - 7) % P:
        raise ValueError("no point has this x")
    return x, P - y if y % 2 else y


def tagged(tag, data):
    return sha256(sha256(tag) * 2 + data)


def even(scalar):
    """The scalar or its negative, whichever's point has an even y, and that point's x."""
    x, y = times(scalar, GENERATOR)
    return ORDER - scalar if y % 2 else scalar, x.to_bytes(32, "big")


def challenge(nonce, key, message):
    return int.from_bytes(tagged(b"BIP0340/challenge", nonce + key + message), "big") % ORDER


def public_key(secret):
    """Of a scalar."""
    return even(secret)[1]


def sign(secret, message, random=bytes(32)):
    secret, key = even(secret)
    mask = int.from_bytes(tagged(b"BIP0340/aux", random), "big")
    nonce = tagged(b"BIP0340/nonce", (secret ^ mask).to_bytes(32, "big") + key + message)
    k, r = even(int.from_bytes(nonce, "big") % ORDER)
    return r + ((k + challenge(r, key, message) * secret) % ORDER).to_bytes(32, "big")


def verifies(key, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    try:
        point = lifted(key)
    except ValueError:
        return False
    if len(signature) != 64 or s >= ORDER:
        return False
    found = plus(times(s, GENERATOR), times(ORDER - challenge(r, key, message), point))
    return found is not None and found[1] % 2 == 0 and found[0].to_bytes(32, "big") == r
