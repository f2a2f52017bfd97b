"""BIP340: signatures by x-only keys."""

import functools

from .hashing import sha256

P = 2 ** 256 - 2 ** 32 - 977
ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
GENERATOR = (0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,
             0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8, 1)
INFINITY = 1, 1, 0


def plus(p, q):
    """Of two points (x, y, z) that stand for x / z^2, y / z^3, so that nothing is divided; z is 0 at infinity."""
    if not (p[2] and q[2]):
        return p if p[2] else q
    zz, ww = p[2] ** 2 % P, q[2] ** 2 % P
    x, y = p[0] * ww % P, p[1] * ww * q[2] % P
    run, rise = (q[0] * zz - x) % P, (q[1] * zz * p[2] - y) % P
    if run == 0:
        return doubled(p) if rise == 0 else INFINITY
    square = run ** 2 % P
    cube, base = run * square % P, x * square % P
    x = (rise ** 2 - cube - 2 * base) % P
    return x, (rise * (base - x) - y * cube) % P, run * p[2] * q[2] % P


def doubled(p):
    square = p[1] ** 2 % P
    base, slope = 4 * p[0] * square % P, 3 * p[0] ** 2 % P
    x = (slope ** 2 - 2 * base) % P
    return x, (slope * (base - x) - 8 * square ** 2) % P, 2 * p[1] * p[2] % P


def times(scalar, point):
    result = INFINITY
    for bit in bin(scalar)[2:]:
        result = doubled(result)
        result = plus(result, point) if bit == "1" else result
    return result


def plane(point):
    """x and y; None at infinity."""
    x, y, z = point
    over = pow(z, -1, P) if z else 0
    return (x * over ** 2 % P, y * over ** 3 % P) if z else None


def lifted(key):
    """The point with an even y of an x-only key; ValueError: there is none."""
    x = int.from_bytes(key, "big")
    y = pow(x ** 3 + 7, (P + 1) // 4, P)
    if x >= P or (y ** 2 - x ** 3 - 7) % P:
        raise ValueError("no point has this x")
    return x, P - y if y % 2 else y, 1


def tagged(tag, data):
    return sha256(sha256(tag) * 2 + data)


@functools.cache
def even(scalar):
    """The scalar or its negative, whichever's point has an even y, and that point's x."""
    x, y = plane(times(scalar, GENERATOR))
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
    found = plane(plus(times(s, GENERATOR), times(ORDER - challenge(r, key, message), point)))
    return found is not None and found[1] % 2 == 0 and found[0].to_bytes(32, "big") == r
