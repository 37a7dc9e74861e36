"""Signs webhooks as Standard Webhooks 1.0 does: HMAC-SHA256 over id, timestamp and body."""

from __future__ import annotations

import base64
import hmac
import secrets
from hashlib import sha256

PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new secret in the form that receivers' libraries read."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(secret: str, identity: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers of one webhook.

    Args:
        secret: As `new_secret` gives it.
        identity: Id of the effect: the same at every try.
        at: Time of this try, Unix seconds.
        body: What is sent, byte for byte.

    Raises:
        ValueError: The secret is damaged.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    content = f"{identity}.{at}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, sha256).digest()).decode()
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
