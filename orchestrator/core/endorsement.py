"""Checks the certificate chain of a device's key: X.509, up to a root that we trust.

The rules are those of RFC 5280 (section 6.1, basic path validation), read strictly and without the
parts that a device's chain does not need: no policies, no name constraints, no revocation lists.
A certificate that asks for one of those is refused, never partly understood.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtensionOID, NameOID

from device_adapters.keys import PublicKey
from device_adapters.types import DeviceKey, Rejected

MAX_CHAIN_BYTES, MAX_CHAIN = 64 * 1024, 8
NEVER = 253_402_300_799  # 9999-12-31T23:59:59Z: no expiry is known (RFC 5280, 4.1.2.5)
_PROCESSED = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE}
_DIGESTS = {"sha256", "sha384", "sha512"}
_CURVES = {"secp256r1", "secp384r1"}
_RSA_BITS = range(2_048, 8_193)
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class EndorsementReason(StrEnum):
    """Why a chain does not vouch for this key of this device. Stable codes."""

    MALFORMED = "endorsement_malformed"
    TOO_LONG = "endorsement_too_long"
    OUT_OF_ORDER = "endorsement_out_of_order"
    EXTRA_CERTIFICATE = "endorsement_extra_certificate"
    ROOT_UNKNOWN = "endorsement_root_unknown"
    SIGNATURE_INVALID = "endorsement_signature_invalid"
    ISSUER_KEY_DIFFERS = "endorsement_issuer_key_differs"
    NOT_YET_VALID = "endorsement_not_yet_valid"
    EXPIRED = "endorsement_expired"
    ISSUER_NOT_A_CA = "endorsement_issuer_not_a_ca"
    ISSUER_MAY_NOT_SIGN = "endorsement_issuer_may_not_sign"
    PATH_TOO_LONG = "endorsement_path_too_long"
    EXTENSION_UNKNOWN = "endorsement_extension_unknown"
    KEY_WEAK = "endorsement_key_weak"
    DIGEST_WEAK = "endorsement_digest_weak"
    DEVICE_IS_A_CA = "endorsement_device_is_a_ca"
    DEVICE_MAY_NOT_SIGN = "endorsement_device_may_not_sign"
    OTHER_KEY = "endorsement_other_key"
    OTHER_DEVICE = "endorsement_other_device"


@dataclass(frozen=True, slots=True)
class Endorsement:
    """A checked chain for one device and one key; only `check` makes one.

    Attributes:
        sha256: Of the device certificate's DER, as stored in the registry.
        expires_at: Unix seconds of its notAfter; 0 for never.
        issuer: Its issuer's name in the form of RFC 4514.
        root: The root's name in that form.
        path: DER, the device's certificate first, the trusted root last.

    Warning: an ECDSA signature can be rewritten, so a certificate has a twin with another hash.
    """

    device: str
    key: DeviceKey
    sha256: bytes
    expires_at: int
    issuer: str
    root: str
    path: tuple[bytes, ...]

    @property
    def pem(self) -> bytes:
        """Return the whole path for an auditor, including the root."""
        certificates = map(x509.load_der_x509_certificate, self.path)
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def check(
    chain: bytes, roots: Sequence[Certificate], device: str, key: DeviceKey, now: int
) -> Endorsement:
    """Return the endorsement in a PEM chain.

    Args:
        chain: The device's certificate, then the issuer of each one before; the trusted root may
            end the chain or be left out.
        roots: The certificates that we trust.
        device: The device's name.
        key: The device's key.
        now: Unix seconds; the whole path must be valid then.

    Raises:
        Rejected: With an EndorsementReason.

    Warning: revocation by the CA is not looked up; a device is stopped in the registry.
    """
    sent = read(chain)
    for position, certificate in enumerate(sent, 1):
        _require_sound(certificate, position, now)
    path = _path(sent, roots)
    _require_sound(path[-1], len(path), now)
    for above, (certificate, issuer) in enumerate(pairwise(path)):
        _require_issued(
            certificate, issuer, [c for c in path[1 : above + 1] if c.subject != c.issuer]
        )
    _require_device(path[0], device, key)
    leaf, ends = path[0], _seconds(path[0].not_valid_after_utc)
    der = tuple(certificate.public_bytes(Encoding.DER) for certificate in path)
    return Endorsement(
        device,
        DeviceKey(key.curve, key.x, key.y),
        sha256(der[0]).digest(),
        0 if ends == NEVER else ends,
        leaf.issuer.rfc4514_string(),
        path[-1].subject.rfc4514_string(),
        der,
    )


def read(chain: bytes) -> list[Certificate]:
    """Return the certificates of a PEM file, in its order, each readable to its last field.

    Raises:
        Rejected: endorsement_malformed or endorsement_too_long.
    """
    if len(chain) > MAX_CHAIN_BYTES:
        raise _refused(EndorsementReason.TOO_LONG, f"more than {MAX_CHAIN_BYTES} bytes")
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        for certificate in certificates:
            _touch(certificate)
    except _UNREADABLE as error:
        raise _refused(
            EndorsementReason.MALFORMED, f"no readable PEM certificates: {error}"
        ) from error
    if len(certificates) > MAX_CHAIN:
        raise _refused(EndorsementReason.TOO_LONG, f"more than {MAX_CHAIN} certificates")
    return certificates


def _touch(certificate: Certificate) -> None:
    """Read every field that is used later: the library parses them only when they are asked for."""
    for extension in certificate.extensions:
        _ = extension.value
    _ = (
        certificate.subject,
        certificate.issuer,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.signature_hash_algorithm,
        certificate.public_key(),
    )
    if (
        certificate.version is not x509.Version.v3
        or not list(certificate.issuer)
        or certificate.serial_number <= 0
    ):
        raise ValueError("a certificate without version 3, an issuer or a positive serial number")
    if not certificate.public_bytes(Encoding.DER).endswith(b"\0" + certificate.signature):
        # no signature covers the count of unused bits before it, so it must be zero (RFC 3279, 2.2)
        raise ValueError("a certificate's signature is not a whole number of bytes")


def _require_sound(certificate: Certificate, position: int, now: int) -> None:
    """Check what must hold of each certificate by itself (RFC 5280, 6.1.3 a and 6.1.4 o)."""
    where = f"certificate {position} ({_name(certificate.subject)})"
    if (
        certificate.signature_hash_algorithm is None
        or certificate.signature_hash_algorithm.name not in _DIGESTS
    ):
        raise _refused(EndorsementReason.DIGEST_WEAK, f"{where} is not signed over SHA-2")
    if now < _seconds(certificate.not_valid_before_utc):
        raise _refused(
            EndorsementReason.NOT_YET_VALID,
            f"{where} is valid from {certificate.not_valid_before_utc} on",
        )
    if now > _seconds(certificate.not_valid_after_utc):
        raise _refused(
            EndorsementReason.EXPIRED, f"{where} was valid until {certificate.not_valid_after_utc}"
        )
    for extension in certificate.extensions:
        constrains = extension.oid == ExtensionOID.NAME_CONSTRAINTS  # must never be ignored
        if constrains or (extension.critical and extension.oid not in _PROCESSED):
            raise _refused(
                EndorsementReason.EXTENSION_UNKNOWN,
                f"{where} has the extension {extension.oid.dotted_string}, which is not understood",
            )


def _path(sent: list[Certificate], roots: Sequence[Certificate]) -> list[Certificate]:
    """Return the sent certificates in their order, ended by a trusted root."""
    for position, (certificate, issuer) in enumerate(pairwise(sent), 1):
        if certificate.issuer != issuer.subject:
            raise _refused(
                EndorsementReason.OUT_OF_ORDER,
                f"certificate {position} names {_name(certificate.issuer)} as its issuer, the "
                f"next one is {_name(issuer.subject)}; send the device's certificate, "
                "then its issuer, and so on, and nothing else",
            )
    trusted = [position for position, certificate in enumerate(sent, 1) if certificate in roots]
    if trusted and trusted[0] < len(sent):
        raise _refused(
            EndorsementReason.EXTRA_CERTIFICATE,
            f"certificates follow the trusted root at place {trusted[0]}",
        )
    if trusted:
        return sent
    for root in roots:
        if root.subject == sent[-1].issuer and _signed(sent[-1], root):
            return [*sent, root]
    raise _refused(
        EndorsementReason.ROOT_UNKNOWN,
        f"no trusted root issued {_name(sent[-1].subject)}; its issuer is {_name(sent[-1].issuer)}",
    )


def _require_issued(
    certificate: Certificate, issuer: Certificate, between: list[Certificate]
) -> None:
    """Check that `issuer` may issue and did issue a certificate (RFC 5280, 6.1.3 a, 6.1.4 k-n).

    between: the intermediate certificates below the issuer that pathLenConstraint counts.
    """
    who = _name(issuer.subject)
    basic = _extension(issuer, x509.BasicConstraints)
    if basic is None or not basic.ca:
        raise _refused(EndorsementReason.ISSUER_NOT_A_CA, f"{who} is no certification authority")
    if basic.path_length is not None and len(between) > basic.path_length:
        raise _refused(
            EndorsementReason.PATH_TOO_LONG,
            f"{who} allows {basic.path_length} authorities below it, there are {len(between)}",
        )
    usage = _extension(issuer, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign:
        raise _refused(
            EndorsementReason.ISSUER_MAY_NOT_SIGN,
            f"the key of {who} is not for signing certificates",
        )
    if not _strong(issuer.public_key()):
        raise _refused(
            EndorsementReason.KEY_WEAK,
            f"the key of {who} is neither P-256, P-384 nor RSA of 2048 to 8192 bits",
        )
    _require_key_named(certificate, issuer)
    if not _signed(certificate, issuer):
        raise _refused(
            EndorsementReason.SIGNATURE_INVALID,
            f"{who} did not sign the certificate of {_name(certificate.subject)}",
        )


def _require_key_named(certificate: Certificate, issuer: Certificate) -> None:
    """Check that identifiers of the issuer's key, if given, match it (4.2.1.1, 4.2.1.2)."""
    wanted = _extension(certificate, x509.AuthorityKeyIdentifier)
    shown = _extension(issuer, x509.SubjectKeyIdentifier)
    if wanted is None:
        return
    key_differs = wanted.key_identifier and shown and wanted.key_identifier != shown.digest
    serial = wanted.authority_cert_serial_number
    if key_differs or serial not in (None, issuer.serial_number):
        raise _refused(
            EndorsementReason.ISSUER_KEY_DIFFERS,
            f"the certificate of {_name(certificate.subject)} was issued with another key or "
            f"certificate of {_name(issuer.subject)}",
        )


def _require_device(leaf: Certificate, device: str, key: DeviceKey) -> None:
    """Check that the certificate has this device's key and name, and a key that may sign."""
    der = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if der != PublicKey.from_device_key(key).der:
        raise _refused(
            EndorsementReason.OTHER_KEY,
            f"the certificate of {_name(leaf.subject)} is for another key",
        )
    names = [
        attribute.value
        for oid in (NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER)
        for attribute in leaf.subject.get_attributes_for_oid(oid)
    ]
    if device not in names:
        raise _refused(
            EndorsementReason.OTHER_DEVICE,
            f"the certificate is for {_name(leaf.subject)}, not for {device}: neither "
            "common name nor serial number",
        )
    basic, usage = _extension(leaf, x509.BasicConstraints), _extension(leaf, x509.KeyUsage)
    if basic is not None and basic.ca:
        raise _refused(EndorsementReason.DEVICE_IS_A_CA, "a device is no certification authority")
    if usage is not None and not usage.digital_signature:
        raise _refused(
            EndorsementReason.DEVICE_MAY_NOT_SIGN,
            "the certificate's key usage leaves out digital signatures",
        )


def _signed(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def _strong(key: object) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    return isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS


def _extension(certificate: Certificate, kind: type) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _seconds(moment: Any) -> int:
    return timegm(moment.utctimetuple())


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "nobody"


def _refused(fault: EndorsementReason, detail: str) -> Rejected:
    return Rejected(fault, detail)
