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


class ChallengeReason(StrEnum):
    """About challenges of a payment; what they share with disputes has a code of those."""

    NO_CONTRACT = "no_contract_for_challenges"
    NOT_SETTLED = "not_settled"
    NOT_PROVEN = "fault_not_proven"
    ALREADY_CHALLENGED = "already_challenged"
    RECORDS_INCOMPLETE = "records_incomplete"
    RECORD_UNKNOWN = "record_unknown"
    RECORD_NEEDED = "record_needed"
    OTHER_CHAIN = "bundle_of_another_chain"


class PayeeMoneyReason(StrEnum):
    """About a payee's money in the rail."""

    NOTHING = "nothing_due"
    TOO_MUCH = "more_than_available"


class WaterfallReason(StrEnum):
    """About a waterfall: its terms, and what a holder can take."""

    NO_CONTRACT = "no_contract_for_waterfalls"
    NAME = "name_invalid"
    NOT_FOLLOWED = "contract_not_followed_yet"
    HOLDERS = "holders_invalid"
    SHARES = "shares_invalid"
    SENIOR = "senior_invalid"
    NAME_TAKEN = "name_taken"
    UNKNOWN = "waterfall_unknown"
    NO_HOLDER = "not_a_holder"
    NOTHING = "nothing_due"
    ACCOUNT_MISSING = "account_missing"


class PremiumReason(StrEnum):
    """About proving that a cover's premium was paid."""

    OTHER_AGREEMENT = "other_agreement"
    NOT_SETTLED = "not_settled"
    WINDOW_OPEN = "dispute_window_open"


class SkipReason(StrEnum):
    """About passing over a claim."""

    NO_CLAIM = "no_claim_to_skip"
    COUNTER_UNKNOWN = "counter_unknown"
    UNSIGNED = "skip_unsigned"
