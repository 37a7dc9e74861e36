"""Hand-made signatures for secp256k1: what `ecrecover` hides must not turn a "no" into a "yes"."""

from __future__ import annotations

from tests.support.contracts.device_keys import K1_N, DeviceSigner
from tests.support.contracts.p256_vectors import Vector, number

P = 2**256 - 2**32 - 977


def vectors() -> list[Vector]:
    """All of them; names are unique and say what is special."""
    rows = []
    for index, digest in enumerate((number("k1 digest"), 0, 1, K1_N, 2**256 - 1)):
        signer = DeviceSigner.k1(number(f"k1 secret {index}") % K1_N)
        x, y = int.from_bytes(signer.x, "big"), int.from_bytes(signer.y, "big")
        proof = signer.sign(digest.to_bytes(32, "big"), high=False)
        r, s = (int.from_bytes(part, "big") for part in proof)
        # a digest of zero leaves only the nonce's x, which a point and its mirror image share
        mirrored = Vector(f"mirrored key {index}", x, P - y, digest, r, s, digest % K1_N == 0)
        rows += [
            Vector(f"low s {index}", x, y, digest, r, s, True),
            Vector(f"high-s twin {index}", x, y, digest, r, K1_N - s, True),
            mirrored,
            *(
                Vector(f"{name} {index}", *words, False)
                for name, words in _broken(x, y, digest, r, s).items()
            ),
        ]
    return rows


def _broken(x: int, y: int, digest: int, r: int, s: int) -> dict[str, tuple[int, ...]]:
    top = 2**256 - 1
    return {
        "other digest": (x, y, digest ^ 1, r, s),
        "r zero": (x, y, digest, 0, s),
        "s zero": (x, y, digest, r, 0),
        "both zero": (x, y, digest, 0, 0),
        "r is n": (x, y, digest, K1_N, s),
        "s is n": (x, y, digest, r, K1_N),
        "s is n + 1": (x, y, digest, r, K1_N + 1),
        "r and s swapped": (x, y, digest, s, r),
        "r mirrored": (x, y, digest, K1_N - r, s),
        "r all ones": (x, y, digest, top, s),
        "s all ones": (x, y, digest, r, top),
        "key is the origin": (0, 0, digest, r, s),
        "key is the origin, nothing signed": (0, 0, digest, 0, 0),
        "key off the curve": (x, y ^ 1, digest, r, s),
        "key off the curve, nothing signed": (x, y ^ 1, digest, 0, 0),
        "x is p": (P, y, digest, r, s),
        "x and y swapped": (y, x, digest, r, s),
        "key all ones": (top, top, digest, r, s),
    }
