"""Carries an agreement of WearableVoucher of release 0.5.0: what each payee was paid, for how many
taps. Cards in the field go on signing for the former contract.
"""

from __future__ import annotations

from orchestrator.products.carrying import Carried, EndedAgreement, NotCarried
from orchestrator.products.wearable_voucher.abi import VoucherStart, decode_terms, encode_terms


def carry(ended: EndedAgreement) -> Carried | NotCarried:
    """Return terms with a start for each payee, so that the next voucher pays the difference."""
    _, paid, signed_at, *_ = ended.view("stateOf", ended.agreement)
    accounts = {payee: ended.view("accountOf", ended.agreement, payee) for payee in ended.payees}
    starts = [VoucherStart(payee, *account) for payee, account in accounts.items() if account[0]]
    if (known := sum(start.paid for start in starts)) != paid:
        return NotCarried(
            f"the contract paid {paid} micro-euro and the store knows the payees of {known}: the "
            "service has not read all settlements yet",
            waits=True,
        )
    starts.sort(key=lambda start: int(start.payee, 16))
    terms = decode_terms(ended.terms)._replace(starts=tuple(starts))
    return Carried(encode_terms(terms), signed_at or ended.opened_at)
