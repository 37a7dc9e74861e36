"""P-256 verdicts that every chain must share: good signatures, twins, broken ones, edges.

Each vector is made here, with the curve's arithmetic in plain integers: where no private key can
reach an edge (a key whose x is tiny, an r that wrapped around the order), the signature comes first
and the key or the digest follows from it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
A = P - 3
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None  # None: the point at infinity
PLAIN_KEYS = 6


@dataclass(frozen=True)
class Vector:
    """Five words for `DeviceRegistry.verify` (curve 0), and what it must answer."""

    name: str
    x: int
    y: int
    digest: int
    r: int
    s: int
    good: bool

    def words(self) -> tuple[bytes, ...]:
        """x, y, digest, r, s: 32 bytes each."""
        return tuple(n.to_bytes(32, "big") for n in (self.x, self.y, self.digest, self.r, self.s))


def add(a: Point, b: Point) -> Point:
    """The curve's addition, affine."""
    if a is None or b is None:
        return b if a is None else a
    (ax, ay), (bx, by) = a, b
    if ax == bx and (ay + by) % P == 0:
        return None
    if a == b:
        slope = (3 * ax * ax + A) * pow(2 * ay, -1, P) % P
    else:
        slope = (by - ay) * pow(bx - ax, -1, P) % P
    x = (slope * slope - ax - bx) % P
    return x, (slope * (ax - x) - ay) % P


def times(k: int, point: Point) -> Point:
    """k times a point, by doubling."""
    sum_: Point = None
    for bit in bin(k % N)[2:]:
        sum_ = add(sum_, sum_)
        if bit == "1":
            sum_ = add(sum_, point)
    return sum_


def point_with_x(start: int) -> tuple[int, int]:
    """The first point whose x is `start` or the next number that is one on the curve."""
    for x in range(start, start + 1_000):
        square = (x**3 + A * x + B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            return x, y
    raise AssertionError("half of all x are on the curve")


def sign(secret: int, digest: int, k: int) -> tuple[int, int]:
    """(r, s) with a chosen k: never do this with a key that matters."""
    point = times(k, G)
    assert point is not None
    r = point[0] % N
    return r, pow(k, -1, N) * (digest + r * secret) % N


def key_for(digest: int, nonce_point: tuple[int, int], s: int) -> tuple[int, int]:
    """The key under which (nonce_point.x mod n, s) signs the digest."""
    r = nonce_point[0] % N
    turned = add(times(s, nonce_point), times(N - digest % N, G))
    key = times(pow(r, -1, N), turned)
    assert key is not None
    return key


def number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


@cache
def vectors() -> tuple[Vector, ...]:
    """All of them; names are unique and say what is special. Made once: it takes seconds."""
    return (
        *_plain(),
        *_broken(),
        *_small_keys(),
        *_digests(),
        *_wrapped(),
        *_off_field(),
        *_halves(),
        *_odd_keys(),
    )


def _plain() -> list[Vector]:
    rows = []
    for index in range(PLAIN_KEYS):
        secret, digest = number(f"secret {index}") % N, number(f"digest {index}")
        x, y = times(secret, G)
        r, s = sign(secret, digest, number(f"k {index}") % N)
        low = min(s, N - s)
        rows += [
            Vector(f"low s {index}", x, y, digest, r, low, True),
            Vector(f"high-s twin {index}", x, y, digest, r, N - low, True),
            Vector(f"other digest {index}", x, y, digest ^ 1, r, low, False),
            Vector(f"other key {index}", *times(secret + 1, G), digest, r, low, False),
            Vector(f"mirrored key {index}", x, P - y, digest, r, low, False),
        ]
    return rows


def _broken() -> list[Vector]:
    secret, digest = number("secret"), number("digest")
    (x, y), (r, s) = times(secret, G), sign(secret, digest, number("k"))
    top = 2**256 - 1
    changed = {
        "r zero": (x, y, 0, s),
        "s zero": (x, y, r, 0),
        "both zero": (x, y, 0, 0),
        "r is n": (x, y, N, s),
        "s is n": (x, y, r, N),
        "r is n - 1": (x, y, N - 1, s),
        "s is n - 1": (x, y, r, N - 1),
        "s is n + 1": (x, y, r, N + 1),
        "r is 1": (x, y, 1, s),
        "s is 1": (x, y, r, 1),
        "r all ones": (x, y, top, s),
        "s all ones": (x, y, r, top),
        "r and s swapped": (x, y, s, r),
        "r mirrored": (x, y, N - r, s),
        "r is p": (x, y, P, s),
        "x and y swapped": (y, x, r, s),
        "x zero": (0, y, r, s),
        "y zero": (x, 0, r, s),
        "key is the origin": (0, 0, r, s),
        "y off by one": (x, y ^ 1, r, s),
        "x is p": (P, y, r, s),
        "y is p": (x, P, r, s),
        "key all ones": (top, top, r, s),
    }
    return [
        Vector(name, *key_and_sign[:2], digest, *key_and_sign[2:], False)
        for name, key_and_sign in changed.items()
    ]


def _small_keys() -> list[Vector]:
    """Keys that meet the generator: sums of equal or opposite points on the way."""
    rows = []
    for secret in (1, 2, 3, 4, N - 1, N - 2, N - 3, (N + 1) // 2):
        x, y = times(secret, G)
        for k in (1, 2, 5, N - 1):
            digest = number(f"small {secret} {k}")
            r, s = sign(secret, digest, k)
            name = f"secret {_near(secret)}, k {_near(k)}"
            rows += [
                Vector(name, x, y, digest, r, s, True),
                Vector(f"{name}, s + 1", x, y, digest, r, s + 1, False),
            ]
        digest = -2 * secret % N  # u1 G + u2 Q ends where it began
        r, s = times(1, G)[0] % N, 1
        meets = add(times(digest, G), times(r * secret % N, G))
        rows.append(
            Vector(
                f"secret {_near(secret)}, chosen digest",
                x,
                y,
                digest,
                r,
                s,
                meets is not None and meets[0] % N == r,
            )
        )
    return rows


def _digests() -> list[Vector]:
    """Digests at the edges: zero, around the order, all ones; and one that cancels the key."""
    rows, secret, k = [], number("edge secret") % N, number("edge k") % N
    x, y = times(secret, G)
    for name, digest in {
        "zero": 0,
        "one": 1,
        "n - 1": N - 1,
        "n": N,
        "n + 1": N + 1,
        "all ones": 2**256 - 1,
    }.items():
        r, s = sign(secret, digest, k)
        rows += [
            Vector(f"digest {name}", x, y, digest, r, s, True),
            Vector(f"digest {name}, r + 1", x, y, digest, r + 1, s, False),
        ]
    r = number("any r") % N
    rows.append(Vector("sum is infinity", x, y, -r * secret % N, r, number("any s") % N, False))
    return rows


def _wrapped() -> list[Vector]:
    """r is x modulo the order: x above the order wraps, and r + n is not another name of r."""
    rows, digest, s = [], number("wrapped"), number("wrapped s") % (N // 2)
    above, tiny = point_with_x(N + 1), point_with_x(5)
    for name, nonce in {"x above n": above, "tiny r": tiny}.items():
        r, key = nonce[0] % N, key_for(digest, nonce, s)
        rows += [
            Vector(name, *key, digest, r, s, True),
            Vector(f"{name}, twin", *key, digest, r, N - s, True),
            Vector(f"{name}, r + n", *key, digest, r + N, s, False),
            Vector(f"{name}, r - 1", *key, digest, r - 1, s, False),
        ]
    return rows


def _off_field() -> list[Vector]:
    """A key whose x is so small that x + p fits in a word: one point has one name."""
    key = point_with_x(5)
    digest, r, s = _forged(key, "off field")
    return [
        Vector("small x", *key, digest, r, s, True),
        Vector("small x + p", key[0] + P, key[1], digest, r, s, False),
        Vector("small x, y mirrored", key[0], P - key[1], digest, r, s, False),
        Vector("small x, off the curve", key[0], key[1] ^ 2, digest, r, s, False),
        Vector("sent as a curve of another b", key[0] + 1, key[1], digest, r, s, False),
    ]


def _halves() -> list[Vector]:
    """s at its edges and at half of the order, where high s begins."""
    rows, digest = [], number("halves")
    nonce = times(number("halves nonce"), G)
    assert nonce is not None
    for name, s in {"1": 1, "half": N // 2, "half + 1": N // 2 + 1, "n - 1": N - 1}.items():
        key = key_for(digest, nonce, s)
        rows += [
            Vector(f"s is {name}, good", *key, digest, nonce[0] % N, s, True),
            Vector(f"s is {name}, for s + 2", *key, digest, nonce[0] % N, s + 2, False),
        ]
    return rows


def _odd_keys() -> list[Vector]:
    """Keys at the edges of the curve, signed without their secret; and points of other curves."""
    rows = []
    for name, key in {"x is 0": point_with_x(0), "x near p": point_with_x(P - 20)}.items():
        digest, r, s = _forged(key, f"forged {name}")
        rows += [
            Vector(f"key whose {name}", *key, digest, r, s, True),
            Vector(f"key whose {name}, other digest", *key, digest ^ 2, r, s, False),
        ]
    zero = point_with_x(0)
    rows.append(Vector("key whose x is p", P, zero[1], *_forged(zero, "forged x is 0"), False))
    digest, r, s = _forged(G, "forged g")
    twist = next(x for x in range(5, 99) if pow(x**3 + A * x + B, (P - 1) // 2, P) != 1)
    rows += [
        Vector("key is on the twist", twist, 1, digest, r, s, False),
        Vector("key is infinity as (0, 1)", 0, 1, digest, r, s, False),
        Vector("signed by the generator's key", *G, digest, r, s, True),
        Vector("signed by the generator's key, mirrored", G[0], P - G[1], digest, r, s, False),
    ]
    return rows


def _forged(key: tuple[int, int], label: str) -> tuple[int, int, int]:
    """Return (digest, r, s) that are good under a key: the digest follows from the signature."""
    u1, u2 = number(f"{label} u1") % N, number(f"{label} u2") % N
    nonce = add(times(u1, G), times(u2, key))
    assert nonce is not None
    r = nonce[0] % N
    s = r * pow(u2, -1, N) % N
    return u1 * s % N, r, s


def _near(value: int) -> str:
    return f"n - {N - value}" if N - value < 9 else str(value) if value < 9 else "half of n"
