"""Reads a device's public key in every form that vendors print, and verifies signatures.

Sources: RFC 5480 (SubjectPublicKeyInfo), SEC 1 section 2.3.3 (points), SEC 2 (curves).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import sha3
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from device_adapters.types import Curve, DeviceKey, Reason, Rejected, Signed

MAX_KEY_BYTES = 8 * 1024
_MAX_WRAPPINGS = 3  # such as base64 of "oca:base16:asn1:<hex>", as charge points send over OCPP
_CURVES: dict[Curve, ec.EllipticCurve] = {
    Curve.SECP256R1: ec.SECP256R1(),
    Curve.SECP256K1: ec.SECP256K1(),
    Curve.SECP192R1: ec.SECP192R1(),
    Curve.SECP384R1: ec.SECP384R1(),
    Curve.SECP521R1: ec.SECP521R1(),
    Curve.BRAINPOOLP256R1: ec.BrainpoolP256R1(),
    Curve.BRAINPOOLP384R1: ec.BrainpoolP384R1(),
}
# bytes of one coordinate; without a hint the first curve of a size is assumed
_SIZES = {
    Curve.SECP256R1: 32,
    Curve.SECP256K1: 32,
    Curve.BRAINPOOLP256R1: 32,
    Curve.SECP192R1: 24,
    Curve.SECP192K1: 24,
    Curve.SECP384R1: 48,
    Curve.BRAINPOOLP384R1: 48,
    Curve.SECP521R1: 66,
}
# The orders are public constants (SEC 2, RFC 5639); a test checks them against `ecdsa`.
ORDERS = {
    Curve.SECP256R1: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    Curve.SECP256K1: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    Curve.SECP192R1: 0xFFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831,
    Curve.SECP192K1: 0xFFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D,
    Curve.BRAINPOOLP256R1: 0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
    Curve.SECP384R1: (1 << 384) - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
    Curve.BRAINPOOLP384R1: (
        0x8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7 << 128
        | 0xCF3AB6AF6B7FC3103B883202E9046565
    ),
    Curve.SECP521R1: (1 << 521)
    - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
}
# OpenSSL lacks secp192k1: its field prime (y^2 = x^3 + 3) and the DER before its points
_P192K1 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFEE37
_SPKI192K1 = bytes.fromhex("3046301006072A8648CE3D020106052B8104001F033200")
_SPKI192K1_COMPRESSED = bytes.fromhex("302E301006072A8648CE3D020106052B8104001F031A00")


@dataclass(frozen=True, slots=True)
class PublicKey(DeviceKey):
    """A device key with its encodings. `point` is 04||x||y, `der` a SubjectPublicKeyInfo."""

    @classmethod
    def from_device_key(cls, key: DeviceKey) -> PublicKey:
        """Return the same key with its encodings."""
        return cls(key.curve, key.x, key.y)

    def as_device_key(self) -> DeviceKey:
        """Return the key without its encodings."""
        return DeviceKey(self.curve, self.x, self.y)

    @property
    def point(self) -> bytes:
        """Return the uncompressed point, 04||x||y."""
        size = _SIZES[self.curve]
        return b"\x04" + self.x.to_bytes(size, "big") + self.y.to_bytes(size, "big")

    @property
    def der(self) -> bytes:
        """Return the DER SubjectPublicKeyInfo (RFC 5480)."""
        if self.curve is Curve.SECP192K1:
            return _SPKI192K1 + self.point
        return _loaded(self).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """Return SHA-256 of the DER SubjectPublicKeyInfo, in hex."""
        return sha256(self.der).hexdigest()


def load_public_key(value: str | bytes, curve: Curve | None = None) -> PublicKey:
    """Return the key in `value`.

    Args:
        value: PEM, or hex or base64 of a DER SubjectPublicKeyInfo or of a point. Line breaks,
            spaces and colons are accepted.
        curve: a hint, such as the curve that a record declares. A bare point that fits several
            curves is read on the hinted one, else on secp256r1.

    Raises:
        Rejected: KEY_MALFORMED, KEY_NOT_PUBLIC, KEY_CURVE_UNKNOWN or KEY_OFF_CURVE.
    """
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if len(data) > MAX_KEY_BYTES:
        raise Rejected(Reason.KEY_MALFORMED, f"a key has at most {MAX_KEY_BYTES} bytes")
    return _parse(data, curve, _MAX_WRAPPINGS)


def genuine(signed: Signed, key: DeviceKey) -> bool:
    """Return whether `key` made this signature over exactly this content; never raises.

    High s is as genuine as low s: the chain needs low s, the evidence keeps the device's own.
    """
    if signed.curve != key.curve or signed.digest not in _DIGESTS:
        return False
    if key.curve is Curve.SECP192K1:
        return _genuine_192k1(signed, key)
    content = signed.content
    if signed.digest == "keccak256":  # OpenSSL lacks it, so it gets the digest itself
        content = sha3.keccak_256(content).digest()
    try:
        _loaded(key).verify(signed.signature_der, content, _DIGESTS[signed.digest])
    except (InvalidSignature, ValueError, Rejected):
        return False
    return True


def normalise_low_s(r: int, s: int, curve: Curve) -> tuple[int, int]:
    """Return the form of (r, s) that the chain accepts: s at most half the order (EIP-2)."""
    order = ORDERS[curve]
    return (r, order - s) if is_high_s(s, curve) else (r, s)


def is_high_s(s: int, curve: Curve) -> bool:
    """Return whether s is above half the order of the curve."""
    return s > ORDERS[curve] // 2


def raw_to_der(raw: bytes) -> bytes:
    """Return the DER form of a raw r||s signature (two numbers of equal length)."""
    half = len(raw) // 2
    return encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )


def read_der(der: bytes) -> tuple[int, int]:
    """Return (r, s) of a DER signature; Rejected (SIGNATURE_MALFORMED) where it is not one."""
    try:
        return decode_dss_signature(der)
    except ValueError:
        raise Rejected(Reason.SIGNATURE_MALFORMED, "not a DER sequence of r and s") from None


def unsigned_to_der(data: bytes, curve: Curve) -> bytes | None:
    """Return the DER form of a signature whose integers are written without a sign; None if not.

    Whole fleets of meters write r and s in a fixed width, without the zero octet that DER puts
    before a first bit of one, or with zero octets that DER leaves out. The Transparenzsoftware
    reads them as positive numbers. Everything else is as DER requires: a sequence of exactly two
    integers, of no more octets than the curve needs, and nothing after it.
    """
    size = (ORDERS[curve].bit_length() + 7) // 8
    head = 3 if data[1:2] == b"\x81" else 2
    if data[:1] != b"\x30" or len(data) <= head or data[head - 1] != len(data) - head:
        return None
    numbers, at = [], head
    while at + 2 <= len(data):
        length = data[at + 1]
        number = data[at + 2 : at + 2 + length]
        if data[at] != 0x02 or not 0 < length <= size + 1 or len(number) != length:
            return None
        numbers.append(int.from_bytes(number, "big"))
        at += 2 + length
    if at != len(data) or len(numbers) != 2:
        return None
    return encode_dss_signature(*numbers)


_DIGESTS = {"sha256": ec.ECDSA(hashes.SHA256()), "sha512": ec.ECDSA(hashes.SHA512())}
_DIGESTS["keccak256"] = ec.ECDSA(Prehashed(hashes.SHA256()))


@lru_cache(maxsize=16_384)
def _loaded(key: DeviceKey) -> ec.EllipticCurvePublicKey:
    try:
        # as an encoded point: of plain numbers the library takes x + p for x, and no contract does
        point = PublicKey.from_device_key(key).point
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[key.curve], point)
    except (ValueError, KeyError, OverflowError):
        raise Rejected(Reason.KEY_OFF_CURVE, f"the point is not on {key.curve}") from None


def _genuine_192k1(signed: Signed, key: DeviceKey) -> bool:
    from pyocmf.crypto.fallback import verify_signature  # takes half a second to import
    from pyocmf.enums.crypto import HashAlgorithm
    from pyocmf.exceptions import PyOCMFError

    try:
        read_der(signed.signature_der)
        der = PublicKey.from_device_key(key).der
        digest = HashAlgorithm(signed.digest.upper())
        return verify_signature(der, signed.signature_der, signed.content, digest)
    except (Rejected, PyOCMFError, ValueError, OverflowError):
        return False


def _parse(data: bytes, hint: Curve | None, wrappings: int) -> PublicKey:
    """Parse binary data, or text that is unwrapped at most `wrappings` times."""
    if not data.strip():
        raise Rejected(Reason.KEY_MALFORMED, "the key is empty")
    if data[:1] == b"\x30" and (key := _from_der(data)) is not None:
        return key
    if key := _from_point(data, hint):
        return key
    text = data.strip()
    if text.startswith(b"-----BEGIN"):
        return _from_pem(text)
    if wrappings:
        for inner in _unwrapped(text):
            try:
                return _parse(inner, hint, wrappings - 1)
            except Rejected as refusal:
                if refusal.reason is not Reason.KEY_MALFORMED:
                    raise
    raise Rejected(Reason.KEY_MALFORMED, "neither PEM, nor hex or base64 of a DER key or a point")


def _unwrapped(text: bytes) -> Iterator[bytes]:
    """Yield the decoded text: hex first (every hex text is base64 too), then base64."""
    if text[:4].lower() == b"oca:":
        text = text.rsplit(b":", 1)[1]
    compact = b"".join(text.replace(b":", b" ").split())
    compact = compact[2:] if compact[:2].lower() == b"0x" else compact
    with suppress(binascii.Error):
        yield binascii.unhexlify(compact)
    padded = compact.rstrip(b"=") + b"=" * (-len(compact.rstrip(b"=")) % 4)
    with suppress(binascii.Error):
        yield base64.b64decode(padded.translate(bytes.maketrans(b"-_", b"+/")), validate=True)


def _from_pem(text: bytes) -> PublicKey:
    if b"PRIVATE KEY" in text:
        raise Rejected(Reason.KEY_NOT_PUBLIC, "this is a private key. Give the public key instead")
    try:
        return _from_loaded(load_pem_public_key(text))
    except ValueError:
        raise Rejected(Reason.KEY_MALFORMED, "the PEM holds no readable public key") from None
    except UnsupportedAlgorithm:
        lines = [line for line in text.splitlines() if not line.startswith(b"-----")]
        return _parse(b"".join(lines), None, 1)


def _from_der(data: bytes) -> PublicKey | None:
    for prefix in (_SPKI192K1, _SPKI192K1_COMPRESSED):
        if data.startswith(prefix):
            return _from_point(data[len(prefix) :], Curve.SECP192K1)
    try:
        return _from_loaded(load_der_public_key(data))
    except ValueError:
        return None
    except UnsupportedAlgorithm:
        raise Rejected(Reason.KEY_CURVE_UNKNOWN, "the curve or key type is not supported") from None


def _from_loaded(key: object) -> PublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Rejected(Reason.KEY_CURVE_UNKNOWN, "not an elliptic curve key")
    numbers = key.public_numbers()
    for curve, implementation in _CURVES.items():
        if implementation.name == key.curve.name:
            return PublicKey(curve, numbers.x, numbers.y)
    raise Rejected(Reason.KEY_CURVE_UNKNOWN, f"the curve {key.curve.name} is not supported")


def _from_point(data: bytes, hint: Curve | None) -> PublicKey | None:
    """Return a bare point (04||x||y, 02 or 03||x, x||y) on the hinted or the first fitting curve.

    An uncompressed point lies on one curve only, so trying several cannot mistake it.
    """
    head, size = data[:1], len(data)
    if head == b"\x04" and size % 2 == 1:
        coordinate, encoded = size // 2, data
    elif head in (b"\x02", b"\x03") and size - 1 in _SIZES.values():
        coordinate, encoded = size - 1, data
    elif size in (64, 96, 132) or (size == 48 and not data.isascii()):
        coordinate, encoded = size // 2, b"\x04" + data
    else:
        return None
    fitting = [curve for curve, length in _SIZES.items() if length == coordinate]
    for curve in sorted(fitting, key=lambda curve: curve is not hint):
        if (key := _on_curve(curve, encoded)) is not None:
            return key
    if fitting and not data.isascii():
        raise Rejected(Reason.KEY_OFF_CURVE, f"the point is on no curve of {8 * coordinate} bits")
    return None


def _on_curve(curve: Curve, encoded: bytes) -> PublicKey | None:
    if curve is Curve.SECP192K1:
        return _on_192k1(encoded)
    try:
        loaded = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve], encoded)
    except ValueError:
        return None
    return _from_loaded(loaded)


def _on_192k1(encoded: bytes) -> PublicKey | None:
    x = int.from_bytes(encoded[1:25], "big")
    square = (pow(x, 3, _P192K1) + 3) % _P192K1
    y = int.from_bytes(encoded[25:], "big")
    if encoded[0] != 4:  # the field prime is 3 mod 4, so one power gives the root
        y = pow(square, (_P192K1 + 1) // 4, _P192K1)
        y = y if y % 2 == encoded[0] % 2 else _P192K1 - y
    if x >= _P192K1 or y >= _P192K1 or y * y % _P192K1 != square:
        return None
    return PublicKey(Curve.SECP192K1, x, y)
