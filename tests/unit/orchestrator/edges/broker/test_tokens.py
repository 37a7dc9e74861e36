"""Requests and answers between the server and the callout."""

from __future__ import annotations

import base64
import json

import nkeys
import pytest
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from orchestrator.edges.broker.tokens import Issuer, new_key, public_text


def _raw(text: str) -> bytes:
    return base64.b32decode(text + "=" * (-len(text) % 8))[1:33]


def _claims(token: str) -> dict:
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_sign__rights__verify_with_the_issuers_key_and_expire():
    issuer = Issuer()
    token = issuer.sign("user", "UDEVICE", "RAIL", {"name": "a", "seconds": 60, "subs": -1})
    signed, signature = token.rsplit(".", 1)
    key = VerifyKey(_raw(issuer.account))
    key.verify(signed.encode(), base64.urlsafe_b64decode(signature + "=="))
    claims = _claims(token)
    assert claims["exp"] == claims["iat"] + 60
    assert (claims["name"], claims["sub"], claims["aud"]) == ("a", "UDEVICE", "RAIL")
    assert claims["nats"] == {"subs": -1, "type": "user", "version": 2}


def test_seal__an_answer__only_the_server_opens_it():
    issuer, server, stranger = Issuer(), Issuer(), Issuer()
    sealed = issuer.seal("header.e30.signature", server.curve)
    assert sealed.startswith(b"xkv1") and b"header" not in sealed
    assert server.open(sealed, issuer.curve) == {}
    with pytest.raises(CryptoError):
        stranger.open(sealed, issuer.curve)


def test_open__a_request_in_clear__refused():
    with pytest.raises(ValueError, match="not sealed"):
        Issuer().open(b"header.e30.signature", Issuer().curve)


def test_keys__as_text__begin_with_the_letter_of_their_kind():
    issuer = Issuer()
    assert (issuer.account[0], issuer.curve[0]) == ("A", "X")
    assert public_text(new_key(nkeys.PREFIX_BYTE_USER))[0] == "U"
