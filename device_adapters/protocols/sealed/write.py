"""Seals contents and reports on the device's or gateway's side, with its private key.

It needs the extra `device` (packages cwt and joserfc), which the rail itself does without.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import cbor2

from device_adapters.cose import SIGN1
from device_adapters.protocols.sealed.envelope import LABELS, VERSION

_ALGORITHMS = {"P-256": "ES256", "secp256k1": "ES256K"}


class ExtraMissing(ImportError):
    """A package of the extra `device` is not installed; the text names it and how to get it."""


@dataclass(frozen=True, slots=True)
class SealClaims:
    """Who seals a record, and what about: the claims without what is sealed.

    issuer: name of the device or gateway whose key signs. sub: name of the device it is about.
    counter: that device's own number, rising by one with each record (2^39 added for the readings
    of a meter without sessions). sealed_at: Unix seconds.
    """

    issuer: str
    sub: str
    counter: int
    sealed_at: int

    def claims(self) -> dict[str, Any]:
        """Return the claims by name."""
        return {
            "iss": self.issuer,
            "sub": self.sub,
            "iat": self.sealed_at,
            "version": VERSION,
            "counter": self.counter,
        }


def content_claims(protocol: str, content: bytes) -> dict[str, Any]:
    """Return the claims that carry the original bytes of a protocol without signatures."""
    return {"protocol": protocol, "content": content}


def write_cose(seal: SealClaims, sealed: dict[str, Any], private_pem: bytes) -> bytes:
    """Return a COSE_Sign1 with tag 18.

    Args:
        sealed: `content_claims(...)`, or {"report": {...}} with the members of `report`.
        private_pem: a P-256 or secp256k1 key (PKCS 8).

    Raises:
        ExtraMissing: cwt or joserfc is not installed.
    """
    cwt = _extra("cwt")
    key = cwt.COSEKey.from_pem(private_pem, alg=_algorithm(private_pem))
    claims = {LABELS[name]: value for name, value in (seal.claims() | sealed).items()}
    signer = cwt.COSE.new(alg_auto_inclusion=True)
    message = cbor2.loads(signer.encode_and_sign(cbor2.dumps(claims), key))
    return cbor2.dumps(cbor2.CBORTag(SIGN1, message.value))


def write_jws(seal: SealClaims, sealed: dict[str, Any], private_pem: bytes) -> bytes:
    """Return a compact JWS; arguments and errors as `write_cose`."""
    jws, jwk = _extra("joserfc.jws"), _extra("joserfc.jwk")
    algorithm = _algorithm(private_pem)
    key = jwk.ECKey.import_key(private_pem)
    claims = json.dumps(_texts(seal.claims() | sealed), separators=(",", ":"), ensure_ascii=False)
    header = {"alg": algorithm}
    return jws.serialize_compact(header, claims.encode(), key, algorithms=[algorithm]).encode()


def _algorithm(private_pem: bytes) -> str:
    key = _extra("joserfc.jwk").ECKey.import_key(private_pem)
    return _ALGORITHMS[key.curve_name]


def _texts(value: Any) -> Any:
    """Return a value with its bytes as base64url without padding, as JSON needs them."""
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in value.items()}
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    return value


def _extra(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        advice = "Install the extra: proofrail-orchestrator[device]"
        raise ExtraMissing(f"the package {package} is not installed. {advice}") from error
