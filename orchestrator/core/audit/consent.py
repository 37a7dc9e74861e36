"""Stages claim, mandate and attestation: claim, payer's consent and oracles' signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eth_abi import encode

from device_adapters.types import Rejected
from oracles.attest import batch_digest, claim_hash, recover
from oracles.citations import cited_events
from oracles.merkle import evidence_root
from oracles.rules import derive_claim, reopened, stated_before
from oracles.types import Agreement, Batch, Claim
from orchestrator.core.identity import payment_id
from orchestrator.core.mandate import FIELDS, mandate_hash
from orchestrator.core.outcome import NOBODY

from .blocks import keccak, unproven
from .case import Case, Rules
from .reading import unhex, whole

_DOMAIN_TYPE = keccak(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_BARRED = ("MemberBarred", "MemberBarredForRulings", "MemberBarredForFault")
_SEATING = ("MemberSeated", "MemberUnseated", *_BARRED)
_SIZES = {"address": 20, "bytes32": 32, "bytes": None}
# version of a mandate -> the event by which the rail opened it
_OPENED = {1: "FormerAgreementOpened", 2: "AgreementOpened"}


def claim(case: Case) -> str:
    """Check that the product's rules derive the claim from exactly these records."""
    batch = case.bundle["batch"]
    if not 0 <= batch["position"] < len(batch["claims"]):
        raise unproven("the batch has no claim at that position")
    case.claim = _claim(batch["claims"][batch["position"]])
    rules = case.products.get(case.bundle["product"])
    if rules is None:
        raise unproven(f"the product {case.bundle['product']!r} is not known")
    _compare(case, rules)
    case.payee = (rules.payee(case.claim.facts) or "").lower()
    case.claim_hash = claim_hash(case.claim)
    case.payment = "0x" + payment_id(case.claim.agreement, case.claim.sequence).hex()
    return f"facts and evidence root of {len(case.events)} records re-derived"


def mandate(case: Case) -> str:
    """Check that the payer signed the agreement's terms and that the rail opened it."""
    mandate = case.bundle["mandate"]
    fields = mandate["fields"]
    agreement = _agreement_id(case)
    if agreement != case.claim.agreement:
        raise unproven("the mandate's hash is not the claim's agreement")
    if unhex(fields["device"], "mandate.device") != case.device_id:
        raise unproven("the mandate is about another device")
    if (fields["payee"] == NOBODY) != (case.payee != ""):
        raise unproven("the payee is named by both the mandate and the claim, or by neither")
    case.payee = case.payee or fields["payee"]
    version = mandate["version"]
    digest = keccak(b"\x19\x01" + _domain(case, version) + agreement)
    signature = unhex(mandate["signature"], "mandate.signature", 65)
    if recover(digest, signature).lower() != fields["payer"]:
        raise unproven("the mandate is not signed by its payer")
    opened = [
        arguments[1:]
        for name, arguments in case.events_of(mandate["opened"], "rail", "mandate.opened")
        if name == _OPENED[version] and arguments[0] == agreement
    ]
    if len(opened) != 1 or not _opens(opened[0], fields, version):
        raise unproven("the rail did not open this agreement in that transaction")
    return f"agreement 0x{agreement.hex()} signed by {fields['payer']}"


def _opens(arguments: tuple[Any, ...], fields: dict[str, Any], version: int) -> bool:
    """Return whether an event's arguments, without the agreement's id, are those of the mandate."""
    values = _values(fields, version)
    if version == 1:
        names = ("payer", "payee", "device", "product", "expiry", "firstCounter", "terms")
        return arguments == tuple(values[name] for name in names)
    payer, payee, start, _, opened = arguments
    begins = values["start"] in (0, start)  # 0: at the opening, which the event names
    return begins and (payer, payee, opened) == (
        *(values["payer"], values["payee"]),
        tuple(values.values()),
    )


def attestation(case: Case) -> str:
    """Check that enough seated oracles, of enough trust domains, signed exactly this batch."""
    seats = _seats(case)
    batch = case.bundle["batch"]
    chain = case.bundle["chain"]
    version = str(case.bundle["mandate"]["version"])  # committee and rail are of one release
    digest = batch_digest(_batch(case), chain["id"], chain["committee"], version)
    case.signers = [
        recover(digest, unhex(signature, "an oracle's signature", 65)).lower()
        for signature in batch["signatures"]
    ]
    strangers = [signer for signer in case.signers if signer not in seats]
    if strangers:
        raise unproven(f"a signature is of {strangers[0]}, who has no seat in the committee")
    if case.signers != sorted(set(case.signers)):
        raise unproven("the signers are not in ascending order, each once")
    domains = {seats[signer] for signer in case.signers}
    if len(case.signers) < case.quorum:
        raise unproven(f"{len(case.signers)} signatures where {case.quorum} are a quorum")
    if len(domains) < case.anchors.min_domains:
        raise unproven(f"the signers come from {len(domains)} trust domain(s)")
    required = case.bundle["mandate"]["fields"]["requiredDomain"]
    refused = case.bundle["settlement"]["refusal"] != 0  # perhaps for this very reason
    if required and required not in domains and not refused:
        raise unproven(f"no signer is of trust domain {required}, which the mandate requires")
    return f"{len(case.signers)} of {len(seats)} oracles from {len(domains)} trust domains"


def _compare(case: Case, rules: Rules) -> None:
    """Compare the claim with its records; the facts only under the agreement's own terms.

    Other terms are no fault of the claim: stage `mandate` names them, since their hash differs.
    """
    parts = ["first_counter", "last_counter", "evidence"]
    if _terms_are_agreed(case):
        derived = _derived(case, rules)
        parts.append("facts")
    else:
        first, last = case.events[0], case.events[-1]
        behind = [*case.events, *cited_events(case.events, case.cited)]
        root = evidence_root([event.evidence_hash for event in behind])
        derived = replace(
            case.claim, first_counter=first.counter, last_counter=last.counter, evidence=root
        )
    for part in parts:
        if getattr(derived, part) != getattr(case.claim, part):
            raise unproven(f"the claim's {part} is not what the records give")


def _derived(case: Case, rules: Rules) -> Claim:
    """Return the claim as the rules derive it.

    A run without an anchor is an agreement's first, one behind records that payer and payee passed
    over, or a late one if the product takes those: the claim must be one of these.
    """
    agreement = _agreement(case, rules)
    for event in case.events:
        if event.subject_id != agreement.subject:
            raise unproven(f"record {event.counter} is not about what was agreed")
    claims, kinds = [], [(agreement, False)]
    if case.anchor is None and case.claim.sequence > 1:
        kinds.append((reopened(agreement, rules), False))
    if case.anchor is None and rules.LATE:
        kinds.append((agreement, True))
    for agreed, late in kinds:
        try:
            claims.append(
                derive_claim(
                    agreed,
                    rules,
                    case.claim.sequence,
                    case.anchor,
                    case.events,
                    case.cited,
                    late,
                    stated_before(rules, case.claim.facts),
                )
            )
        except Rejected as refusal:
            reason = refusal
    if not claims:
        raise unproven(f"the product derives no claim from these records: {reason}")
    return next((claim for claim in claims if claim.facts == case.claim.facts), claims[0])


def _terms_are_agreed(case: Case) -> bool:
    try:
        return _agreement_id(case) == case.claim.agreement
    except Rejected:
        return False


def read_claims(case: Case) -> list[Claim]:
    """Return the claims of the batch, in order, or raise Rejected if a field is out of range."""
    return [_claim(fields) for fields in case.bundle["batch"]["claims"]]


def _agreement_id(case: Case) -> bytes:
    """Return the EIP-712 struct hash of the bundle's mandate: the agreement's id."""
    version = case.bundle["mandate"]["version"]
    try:
        return mandate_hash(_values(case.bundle["mandate"]["fields"], version), version)
    except OverflowError as error:
        raise unproven("a number of the mandate does not fit its type") from error


def _values(fields: dict[str, Any], version: int) -> dict[str, Any]:
    return {name: _value(fields[name], kind, name) for name, kind in FIELDS[version]}


def _value(value: Any, kind: str, name: str) -> Any:
    if isinstance(value, int):
        return value
    data = unhex(value, f"mandate.{name}", _SIZES[kind])
    return value if kind == "address" else data


def _domain(case: Case, version: int) -> bytes:
    """Return the hash of the rail's EIP-712 domain."""
    names = [keccak(b"proofrail"), keccak(str(version).encode())]
    chain_id = whole(case.bundle["chain"]["id"], 256, "chain.id")
    values = [_DOMAIN_TYPE, *names, chain_id, case.address("rail")]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], values))


def _claim(fields: dict[str, Any]) -> Claim:
    return Claim(
        agreement=unhex(fields["agreement"], "claim.agreement", 32),
        sequence=whole(fields["sequence"], 32, "claim.sequence"),
        first_counter=whole(fields["first_counter"], 40, "claim.first_counter"),
        last_counter=whole(fields["last_counter"], 40, "claim.last_counter"),
        evidence=unhex(fields["evidence"], "claim.evidence", 32),
        facts=unhex(fields["facts"], "claim.facts"),
    )


def _agreement(case: Case, rules: Rules) -> Agreement:
    fields = case.bundle["mandate"]["fields"]
    terms = unhex(fields["terms"], "mandate.terms")
    return Agreement(
        agreement=case.claim.agreement,
        device=case.events[0].device,
        device_id=case.device_id,
        product=case.bundle["product"],
        terms=terms,
        start=0,  # whether its facts were in time was the rules' to judge when they were attested
        expires_at=fields["expiry"],
        first_counter=fields["firstCounter"],
        subject=rules.subject(terms),
    )


def _batch(case: Case) -> Batch:
    product = case.bundle["mandate"]["fields"]["product"]
    return Batch(case.bundle["chain"]["rail"], product, tuple(read_claims(case)))


def _seats(case: Case) -> dict[str, int]:
    """Return {member: trust domain} after the proven seating history; also set the quorum.

    Each log carries the number of seats after it, so a missing log in between is noticed. A missing
    log at the end is not, but then the settlement would not have succeeded on chain.
    """
    seats: dict[str, int] = {}
    barred: set[str] = set()
    for name, arguments in case.history_of(case.bundle["committee"], "committee", _SEATING, None):
        member = arguments[0]
        if name == "MemberSeated":
            seats[member] = arguments[1]
        elif name == "MemberUnseated":
            if seats.pop(member, None) is None:
                raise unproven("the committee's history has a gap")
        elif name in _BARRED:
            barred.add(member)
        if name in ("MemberSeated", "MemberUnseated") and arguments[-1] != len(seats):
            raise unproven("the committee's history has a gap")
    if not seats:
        raise unproven("the committee's history seats nobody")
    case.quorum = len(seats) - (len(seats) - 1) // 3
    return {member: domain for member, domain in seats.items() if member not in barred}
