"""Why a party's call is not made: the stable codes of commands and API. Pure."""

from __future__ import annotations

from enum import StrEnum


class DisputeReason(StrEnum):
    """About disputes of a payment."""

    NO_CONTRACT = "no_contract_for_disputes"
    NOT_DISPUTABLE = "not_disputable"
    WINDOW_OVER = "dispute_window_over"
    BOND_SHORT = "bond_not_covered"
    UNREADABLE = "settlement_unreadable"
    NOT_DISPUTED = "not_disputed"
    NOT_EXPIRED = "deadline_not_over"
    RULING_SHORT = "ruling_short"


class PayeeMoneyReason(StrEnum):
    """About a payee's money in the rail."""

    NOTHING = "nothing_due"
    TOO_MUCH = "more_than_available"


class SkipReason(StrEnum):
    """About passing over a claim."""

    NO_CLAIM = "no_claim_to_skip"
    COUNTER_UNKNOWN = "counter_unknown"
    UNSIGNED = "skip_unsigned"
