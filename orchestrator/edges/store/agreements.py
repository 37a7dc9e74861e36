"""Agreements, devices and parties: copies of what the chain holds, with names and bank accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlmodel import Session, func, or_, select, update

from orchestrator.core.agreement import MACHINE, Fact, Stage
from orchestrator.core.mandate import Mandate
from orchestrator.core.payment import Stage as PaymentStage
from orchestrator.core.references import funding_reference
from orchestrator.edges.store.tables import (
    AgreementRow,
    DeviceRow,
    OwnerConsentRow,
    PartyRow,
    PaymentRow,
)

__all__ = [
    "AgreementRow",
    "DeviceRow",
    "Fact",
    "OwnerConsentRow",
    "PartyRow",
    "Stage",
    "record_fact",
]

_CHUNK = 500  # SQLite's default limit of bound variables is far above


def get(session: Session, agreement: str) -> AgreementRow | None:
    """Return an agreement by its id (0x-hex); None if it was not signed through this rail."""
    return session.get(AgreementRow, agreement)


def row_of(device: str, product: str, mandate: Mandate, signature: bytes) -> AgreementRow:
    """Return the row of a signed mandate.

    Args:
        device: The device's name.
        product: The product's name.
        mandate: What the payer signed.
        signature: The payer's, 65 bytes.
    """
    identity = mandate.agreement_id()
    return AgreementRow(
        agreement_id="0x" + identity.hex(),
        device_id="0x" + mandate.device.hex(),
        device=device,
        product=product,
        product_address=mandate.product,
        payer=mandate.payer,
        payee=mandate.payee,
        cap_micro=mandate.cap,
        period_days=mandate.period_days,
        window_s=mandate.window,
        expiry=mandate.expiry,
        first_counter=mandate.first_counter,
        required_domain=mandate.required_domain,
        salt="0x" + mandate.salt.hex(),
        terms="0x" + mandate.terms.hex(),
        signature="0x" + signature.hex(),
        reference=funding_reference(identity),
        mandate_version=mandate.version,
        start=mandate.start,
        bond_micro=mandate.bond,
        schedule=mandate.schedule,
        fleet="0x" + mandate.fleet.hex(),
        cites="0x" + mandate.cites.hex(),
        ends_at=mandate.expiry,
        last_counter=mandate.first_counter,
    )


def mandate_of(row: AgreementRow) -> Mandate:
    """Return the signed mandate of a stored agreement."""
    raw = {
        name: bytes.fromhex(getattr(row, name)[2:])
        for name in ("device_id", "fleet", "cites", "salt", "terms")
    }
    return Mandate(
        payer=row.payer,
        payee=row.payee,
        device=raw["device_id"],
        product=row.product_address,
        cap=row.cap_micro,
        period_days=row.period_days,
        window=row.window_s,
        start=row.start,
        expiry=row.expiry,
        first_counter=row.first_counter,
        required_domain=row.required_domain,
        bond=row.bond_micro,
        schedule=row.schedule,
        fleet=raw["fleet"],
        cites=raw["cites"],
        salt=raw["salt"],
        terms=raw["terms"],
        version=row.mandate_version,
    )


def by_ids(session: Session, ids: Iterable[str]) -> dict[str, AgreementRow]:
    """Return {agreement id: row} of those of these ids that are stored."""
    rows = session.exec(select(AgreementRow).where(AgreementRow.agreement_id.in_(list(ids))))
    return {row.agreement_id: row for row in rows}


def known(session: Session, ids: Sequence[str]) -> set[str]:
    """Return those of these agreement ids that were opened through this rail.

    Others can open agreements on the same contracts, too.
    """
    stored_ids: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        stored_ids.update(
            session.exec(
                select(AgreementRow.agreement_id).where(AgreementRow.agreement_id.in_(chunk))
            )
        )
    return stored_ids


def last_counters(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """Return {agreement id: the last device counter that a payment holds}."""
    rows = session.exec(
        select(AgreementRow.agreement_id, AgreementRow.last_counter).where(
            AgreementRow.agreement_id.in_(ids)
        )
    )
    return dict(rows.all())


def reach(session: Session, agreement: str, sequence: int) -> int | None:
    """Return the highest counter that the claims before this sequence hold; None if there are none.

    That is not always the last claim's: a late claim covers counters that were passed long before.
    """
    # by the index over counters, which ends the search at the newest claims; compared as a bare
    # column, the sequence would make SQLite read all earlier claims
    return session.exec(
        select(PaymentRow.last_counter)
        .where(PaymentRow.agreement_id == agreement, PaymentRow.sequence + 0 < sequence)
        .order_by(PaymentRow.last_counter.desc())
        .limit(1)
    ).first()


def is_passed_over(session: Session, row: AgreementRow, sequence: int, counter: int | None) -> bool:
    """Return whether the claims before this sequence end with counters that were passed over.

    A skip that passed over none does not count: the claim before it holds that counter.

    Args:
        session: A session of the store.
        row: The agreement.
        sequence: Of the claim that goes on.
        counter: The highest counter of the claims before it (`reach`).
    """
    if counter is None or counter <= row.first_counter:
        return False
    stages = session.exec(
        select(PaymentRow.stage).where(
            PaymentRow.agreement_id == row.agreement_id,
            PaymentRow.last_counter == counter,
            PaymentRow.sequence + 0 < sequence,
        )
    ).all()
    return bool(stages) and set(stages) == {PaymentStage.SKIPPED}


def claimed_ranges(session: Session, agreement: str, above: int) -> list[tuple[int, int]]:
    """Return the counters of an agreement's claims that reach above one, in order of sequence.

    Returns:
        (first, last) of each claim, both inclusive.
    """
    rows = session.exec(
        select(PaymentRow.first_counter, PaymentRow.last_counter)
        .where(PaymentRow.agreement_id == agreement, PaymentRow.last_counter > above)
        .order_by(PaymentRow.sequence)
    )
    return [(first, last) for first, last in rows]


def by_reference(session: Session, reference: str) -> AgreementRow | None:
    """Return the agreement with a funding reference (canonical form)."""
    return session.exec(select(AgreementRow).where(AgreementRow.reference == reference)).first()


def by_references(session: Session, references: Collection[str]) -> Sequence[AgreementRow]:
    """Return the agreements with these funding references (canonical)."""
    names, rows = sorted(references), []
    for start in range(0, len(names), _CHUNK):
        chosen = AgreementRow.reference.in_(names[start : start + _CHUNK])
        rows += session.exec(select(AgreementRow).where(chosen))
    return rows


def all_agreements(session: Session) -> Sequence[AgreementRow]:
    """Return all agreements by device name."""
    return session.exec(select(AgreementRow).order_by(AgreementRow.device)).all()


def required_domains(session: Session) -> dict[int, int]:
    """Return trust domain -> how many live agreements require it among the signers."""
    query = (
        select(AgreementRow.required_domain, func.count())
        .where(AgreementRow.stage == Stage.LIVE, AgreementRow.required_domain > 0)
        .group_by(AgreementRow.required_domain)
    )
    return dict(session.exec(query).all())


def record_fact(session: Session, agreement: str, fact: Fact, at: int) -> None:
    """Move an agreement by a fact; the only function that changes an agreement's stage.

    Args:
        session: A write session.
        agreement: Its id, 0x-hex; one that was not signed through this rail is ignored.
        fact: What a final block says about it.
        at: That block's time, in Unix seconds.

    Raises:
        Halt: The fact cannot occur at the agreement's stage.
    """
    row = session.get(AgreementRow, agreement)
    if row is None:
        return
    row.stage = MACHINE.advance(agreement, Stage(row.stage), fact)
    if fact is Fact.OPENED:
        row.opened_at = at
    session.add(row)


def payment_at(session: Session, agreement: str, sequence: int) -> PaymentRow | None:
    """Return the payment that was made for a claim of an agreement."""
    return session.exec(
        select(PaymentRow).where(
            PaymentRow.agreement_id == agreement, PaymentRow.sequence == sequence
        )
    ).first()


def consent(
    session: Session, device_id: str, product_address: str, agreement: str
) -> OwnerConsentRow | None:
    """Return the stored consent of a device's owner; ids and addresses are 0x-hex."""
    return session.get(OwnerConsentRow, (device_id, product_address, agreement))


def device(session: Session, device_id: str) -> DeviceRow | None:
    """Return a device by its id (0x-hex)."""
    return session.get(DeviceRow, device_id)


def device_by_name(session: Session, name: str) -> DeviceRow | None:
    """Return a device by its name."""
    return session.exec(select(DeviceRow).where(DeviceRow.name == name)).first()


def devices(session: Session) -> Sequence[DeviceRow]:
    """Return all devices by name."""
    return session.exec(select(DeviceRow).order_by(DeviceRow.name)).all()


def mark_device(session: Session, device_id: str, status: str) -> None:
    """Store the status of a device, a copy of what the registry on chain says."""
    session.exec(update(DeviceRow).where(DeviceRow.device_id == device_id).values(status=status))


def party(session: Session, address: str) -> PartyRow | None:
    """Return a party by its address."""
    return session.exec(select(PartyRow).where(PartyRow.address == address)).first()


def party_at(session: Session, address: str, account: str) -> PartyRow | None:
    """Return a party with a bank account: the one with the address if it still has that account.

    Args:
        session: A session of the store.
        address: The payee's address.
        account: keccak256 of the IBAN, 0x-hex.
    """
    same = session.exec(select(PartyRow).where(PartyRow.account == account)).all()
    return next((row for row in same if row.address == address), same[0] if same else None)


def parties(session: Session) -> Sequence[PartyRow]:
    """Return all parties by name."""
    return session.exec(select(PartyRow).order_by(PartyRow.name)).all()


def of_payment(session: Session, payment: str) -> AgreementRow | None:
    """Return the agreement of a payment."""
    return session.exec(
        select(AgreementRow)
        .join(PaymentRow, PaymentRow.agreement_id == AgreementRow.agreement_id)
        .where(PaymentRow.payment_id == payment)
    ).first()


def devices_paying(session: Session, payee: str) -> list[str]:
    """Return the names of the devices whose agreements or payments name a payee's address."""
    return list(
        session.exec(
            select(AgreementRow.device)
            .outerjoin(PaymentRow, PaymentRow.agreement_id == AgreementRow.agreement_id)
            .where(or_(AgreementRow.payee == payee, PaymentRow.payee == payee))
            .distinct()
        ).all()
    )


def compromised(session: Session) -> dict[str, int]:
    """Return {device id: Unix seconds since when} of the devices that are declared compromised."""
    rows = session.exec(
        select(DeviceRow.device_id, DeviceRow.compromised_since).where(
            DeviceRow.compromised_since >= 0  # an index finds these; it does not find IS NOT NULL
        )
    )
    return dict(rows.all())


def page(
    session: Session, after: str, limit: int, scope: str | None = None
) -> Sequence[AgreementRow]:
    """Return agreements by id that follow the id `after`, at most `limit`.

    Args:
        scope: How the names of their devices must begin; None for any.
    """
    query = select(AgreementRow).where(AgreementRow.agreement_id > after)
    if scope is not None:
        query = query.where(func.substr(AgreementRow.device, 1, len(scope)) == scope)
    return session.exec(query.order_by(AgreementRow.agreement_id).limit(limit)).all()


def page_of_devices(
    session: Session, after: str, limit: int, scope: str | None = None
) -> Sequence[DeviceRow]:
    """Return devices by name that follow the name `after`, at most `limit`.

    Args:
        scope: How their names must begin; None for any.
    """
    query = select(DeviceRow).where(DeviceRow.name > after)
    if scope is not None:
        query = query.where(func.substr(DeviceRow.name, 1, len(scope)) == scope)
    return session.exec(query.order_by(DeviceRow.name).limit(limit)).all()
