"""A meter is charged by one agreement at a time: its own, or that of a fleet which counts it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from device_adapters.types import Rejected
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.store import Session, agreement_ends, agreements
from orchestrator.products import product, products

_NAMED = 3  # meters in a refusal


def require_one_owner(session: Session, rows: Sequence[agreements.AgreementRow]) -> None:
    """Refuse a fleet with a meter that is not active, or not of the owner of the head.

    The contract refuses the second as well, without saying which meter it is.

    Args:
        session: A session of the store.
        rows: What is to be opened.

    Raises:
        Rejected: DEVICE_NOT_ACTIVE or OWNER_DIFFERS, with the meters.
    """
    fleets = [row for row in rows if hasattr(product(row.product), "meters")]
    if not fleets:
        return
    devices = {device.device_id: device for device in agreements.devices(session)}
    for row in fleets:
        wanted = [row.device_id, *sorted(_charged(row))]
        known = [devices[device] for device in wanted if device in devices]
        idle = [device for device in wanted if device not in devices]
        idle += [device.name for device in known if device.status != "active"]
        if idle:
            raise Rejected(
                RegistrationReason.DEVICE_NOT_ACTIVE,
                f"{_listed(idle, len(idle))}: not enrolled here, or not active. Nothing was sent. "
                "Next: `proofrail device list` shows all",
            )
        head = known[0]
        others = [device.name for device in known if device.owner.lower() != head.owner.lower()]
        if others:
            raise Rejected(
                RegistrationReason.OWNER_DIFFERS,
                f"{_listed(others, len(others))}: not of {head.owner}, who owns {head.name} and "
                "consents for all of its meters. Nothing was sent. Next: an agreement of their own",
            )


def require_charged_once(
    session: Session,
    rows: Sequence[agreements.AgreementRow],
    now: int,
    is_open: Callable[[agreements.AgreementRow], bool],
) -> None:
    """Refuse agreements that would charge what another one charges in the same time.

    Two agreements of one device that is in no fleet are no matter of this: the newest one takes its
    records.

    Args:
        session: A session of the store.
        rows: What is to be opened.
        now: Unix seconds.
        is_open: Whether a stored mandate is open on chain, though no final block says so yet.

    Raises:
        Rejected: DEVICE_CHARGED_ELSEWHERE, with the meters and the other agreement.
    """
    fleets = [name for name, rules in products().items() if hasattr(rules, "meters")]
    for row in rows:
        begins, charged = max(row.start, now), _charged(row)
        devices = charged if row.product in fleets else ()
        for other in agreement_ends.unended(session, begins, devices, fleets):
            shared = charged & _charged(other)
            if other.agreement_id == row.agreement_id or other.start > row.expiry or not shared:
                continue
            if other.stage == agreements.Stage.LIVE or is_open(other):
                raise Rejected(
                    RegistrationReason.DEVICE_CHARGED_ELSEWHERE, _detail(session, other, shared)
                )


def _charged(row: agreements.AgreementRow) -> frozenset[str]:
    """Return the ids (0x-hex) of the devices whose records an agreement charges.

    They are the meters of a fleet, or the own device of an agreement that has no subject.
    """
    rules, terms = product(row.product), bytes.fromhex(row.terms[2:])
    if hasattr(rules, "meters"):
        return frozenset("0x" + meter.hex() for meter in rules.meters(terms))
    return frozenset() if rules.subject(terms) else frozenset((row.device_id,))


def _detail(session: Session, other: agreements.AgreementRow, shared: Collection[str]) -> str:
    rows = ((device, agreements.device(session, device)) for device in sorted(shared)[:_NAMED])
    named = _listed([row.name if row else device for device, row in rows], len(shared))
    end = datetime.fromtimestamp(other.closes_at or other.expiry, UTC)
    return (
        f"{named}: agreement {other.agreement_id} of {other.device} ({other.product}) "
        f"charges by these records until {end:%Y-%m-%d %H:%M:%S} UTC, and a meter is charged once. "
        "Nothing was sent. Next: close it with `proofrail agreement close "
        f"{other.agreement_id[:12]}`, let the new one begin after its end (--start), or leave "
        "these meters out"
    )


def _listed(meters: Sequence[str], count: int) -> str:
    more = f" and {count - _NAMED} more" if count > _NAMED else ""
    return ", ".join(meters[:_NAMED]) + more
