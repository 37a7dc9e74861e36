"""Decides which addresses a webhook may reach, so that no URL reaches into this machine's network.

By default only public addresses count. `internal` admits those of a private network, which a bank's
own systems have; loopback is for development chains. Link-local addresses, where clouds keep the
credentials of machines, are never reached.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_TRANSLATED = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


@dataclass(frozen=True, slots=True)
class ReachPolicy:
    """What a target may be.

    Attributes:
        internal: Addresses of a private network are meant.
        loopback: This machine itself is allowed, also without TLS: a development chain.
    """

    internal: bool = False
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """The parts of a webhook's URL."""

    is_tls: bool
    host: str
    port: int
    path: str


def read_url(url: str, policy: ReachPolicy) -> WebhookEndpoint | str:
    """Return the parts of a URL, or a sentence that says why it is no target."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"it is no URL ({error})"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "it is no URL such as https://example.com/effects"
    if parts.username or parts.password or parts.fragment:
        return "it has a user, a password or a fragment, and none of them is sent"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "it has characters that no URL has"
    if parts.scheme == "http" and not (policy.loopback and is_loopback(parts.hostname)):
        return "it is not https, and only loopback on a development chain does without TLS"
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookEndpoint(is_tls, parts.hostname, port or (443 if is_tls else 80), path)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name or number."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def resolve(endpoint: WebhookEndpoint, policy: ReachPolicy) -> str:
    """Return the address to connect to: a name counts only if all of its addresses may be reached.

    Raises:
        OSError: The name has no address.
        PermissionError: An address may not be reached.
    """
    rows = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    numbers = list(dict.fromkeys(str(row[4][0]) for row in rows))
    for number in numbers:
        if trouble := address_trouble(number, policy):
            raise PermissionError(f"{endpoint.host} is {number}, {trouble}")
    return numbers[0]


def address_trouble(number: str, policy: ReachPolicy) -> str:
    """Return why an address may not be reached; "" if it may."""
    address: IPv4Address | IPv6Address = ip_address(number.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        allowed = policy.loopback
        return "" if allowed else "this machine itself: only a development chain may reach it"
    if (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or any(address in net for net in _TRANSLATED if net.version == address.version)
    ):
        return "an address that no receiver has"
    if address.is_global or policy.internal:
        return ""
    return "an address of a private network: add the target with --internal if that is meant"
