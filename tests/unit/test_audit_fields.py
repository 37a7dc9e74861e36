"""Each field of a bundle is changed in turn: verification must fail, and name the right stage."""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from audit_node import ANVIL
from audit_story import PRODUCTS, told

from orchestrator.core.audit import Stage, assemble, verify
from orchestrator.core.audit.bundle import sealed

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")

# the first matching beginning of a field's path names its stage; {own} is the claim's position
STAGES = (
    ("version", Stage.FORMAT),
    ("digest", Stage.FORMAT),
    ("chain.registry", Stage.DEVICE_KEY),
    ("chain.committee", Stage.ATTESTATION),
    ("chain", Stage.MANDATE),
    ("devices", Stage.DEVICE_KEY),
    ("evidence", Stage.EVIDENCE),
    ("anchor", Stage.EVIDENCE),
    ("product", Stage.CLAIM),
    ("batch.position", Stage.CLAIM),
    ("batch.claims.{own}.agreement", Stage.MANDATE),
    ("batch.claims.{own}.sequence", Stage.ATTESTATION),
    ("batch.claims.{own}", Stage.CLAIM),
    ("batch", Stage.ATTESTATION),
    ("mandate", Stage.MANDATE),
    ("committee", Stage.ATTESTATION),
    ("settlement", Stage.SETTLEMENT),
    ("ledger", Stage.LEDGER),
    ("payout", Stage.PAYOUT),
    ("bank_file", Stage.BANK_FILE),
    ("bank_line", Stage.BANK_LINE),
)
FILES = ("record", "content")  # fields in base64
EVERY_BYTE = ("evidence",)  # elsewhere long values are sampled
SAMPLES = 8


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return assemble(told().paid)


@pytest.fixture(scope="module")
def late() -> dict[str, Any]:
    """Of a payment that was redeemed in a later transaction than it was released in."""
    return assemble(told().late)


@pytest.fixture(scope="module")
def refused() -> dict[str, Any]:
    return assemble(told().refused)


@pytest.fixture(scope="module")
def credit() -> dict[str, Any]:
    """Of a payment of less than nothing."""
    return assemble(told().credit)


@pytest.fixture(scope="module")
def netted() -> dict[str, Any]:
    """Of a payment whose release paid a debt first."""
    return assemble(told().netted)


def stage_of(path: tuple, own: int, other: Any = 0) -> Stage:
    text = ".".join(map(str, path)) + "."
    if text.startswith(f"batch.claims.{own}.") and not _fits(other):
        return Stage.CLAIM  # what is no claim at all is not left to later stages
    return next(s for start, s in STAGES if text.startswith(start.format(own=own) + "."))


def _fits(value: Any) -> bool:
    if isinstance(value, int):
        return 0 <= value < 1 << 32
    return len(value) == 66 and value == value.lower()


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from leaves(part, (*path, key))
    elif value is not None:
        yield path, value


def lists(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, list]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    if isinstance(value, list) and value:
        yield path, value
    for key, part in items:
        if isinstance(part, dict | list):
            yield from lists(part, (*path, key))


def changes(path: tuple, value: Any) -> Iterator[Any]:
    """Other values of the same form: each byte changed (long ones: some), or numbers beside it."""
    if isinstance(value, int):
        yield from (value + 1, value - 1, 0 if value else 2, value + (1 << 40), -value - 1)
    elif path[-1] in FILES:
        data = b64decode(value)
        for at in _places(len(data), path):
            yield b64encode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]).decode()
        yield from (b64encode(data + b"\n").decode(), b64encode(data[:-1]).decode(), value[:-1])
    elif value.startswith("0x") and ":" not in value:
        for at in _places(len(value) - 2, path):
            digit = f"{int(value[at + 2], 16) ^ 1:x}"
            yield value[: at + 2] + digit + value[at + 3 :]
        yield from (value + "00", value[:-2], value.upper())
    else:
        for at in _places(len(value), path):
            yield value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
        yield from (value + "x", value[:-1], "")


def _places(size: int, path: tuple) -> list[int]:
    if (path[0] in EVERY_BYTE and "opened" not in path) or size <= SAMPLES:
        return list(range(size))
    return [*range(0, size, size // SAMPLES), size - 1]


def changed(bundle: dict, path: tuple, value: Any) -> dict:
    other = copy.deepcopy(bundle)
    part = other
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return other


def failing_stage(bundle: dict) -> Stage | None:
    report = verify(bundle, PRODUCTS)
    return report.failed.stage if report.failed else None


def test_bundle__as_assembled__holds_up_to_the_bank_line(bundle):
    report = verify(bundle, PRODUCTS)
    assert report.failed is None
    assert report.complete
    assert [step.stage for step in report.steps] == [*Stage, Stage.FORMAT]


def test_bundle__of_a_refused_claim__holds_up_to_the_empty_ledger(refused):
    report = verify(refused, PRODUCTS)
    assert report.failed is None
    assert not report.complete
    assert report.steps[-2].stage is Stage.LEDGER


def test_bundle__of_a_payment_redeemed_later__holds_up_to_the_bank_line(late):
    report = verify(late, PRODUCTS)
    assert report.failed is None
    assert report.complete
    assert late["payout"]["redeemed"]["block"] != late["payout"]["block"]


def test_bundle__of_a_credit__holds_up_to_the_entry_that_says_who_owes_it(credit):
    report = verify(credit, PRODUCTS)
    assert report.failed is None
    assert not report.complete
    assert (credit["settlement"]["amount_micro"], credit["settlement"]["release_at"]) < (0, 1)
    assert [entry["kind"] for entry in credit["ledger"]] == ["credited"]


def test_bundle__of_a_payment_whose_release_paid_a_debt__holds_up_to_the_bank_line(netted):
    report = verify(netted, PRODUCTS)
    assert report.failed is None
    assert report.complete
    released = netted["ledger"][1]["postings"][0]["amount_minor"]
    assert released == 20 * 300_000 + 25 * 300_000 - 5 * 300_000


@pytest.mark.parametrize("top", [start for start, _ in STAGES if "." not in start])
def test_field__changed_and_sealed_again__fails_at_its_stage(bundle, top):
    """Sealed again: the digest cannot be what catches it, so no field goes unchecked."""
    own = bundle["batch"]["position"]
    found = [(path, value) for path, value in leaves(bundle) if path[0] == top]
    assert found
    for path, value in found:
        for other in changes(path, value):
            if other == value:
                continue
            tampered = changed(bundle, path, other)
            tampered = tampered if top == "digest" else sealed(tampered)
            assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["settlement", "batch", "devices", "evidence", "mandate"])
def test_field_of_a_refused_claim__changed_and_sealed_again__fails_at_its_stage(refused, top):
    own = refused["batch"]["position"]
    for path, value in leaves(refused):
        if path[0] == top:
            other = next(other for other in changes(path, value) if other != value)
            tampered = sealed(changed(refused, path, other))
            assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["settlement", "batch", "evidence", "mandate", "ledger"])
def test_field_of_a_credit__changed_and_sealed_again__fails_at_its_stage(credit, top):
    own = credit["batch"]["position"]
    for path, value in leaves(credit[top], (top,)):
        for other in list(changes(path, value))[:12]:
            if other != value:
                tampered = sealed(changed(credit, path, other))
                assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["ledger", "payout"])
def test_field_of_a_netted_payment__changed_and_sealed_again__fails_at_its_stage(netted, top):
    own = netted["batch"]["position"]
    for path, value in leaves(netted[top], (top,)):
        for other in list(changes(path, value))[:12]:
            if other != value:
                tampered = sealed(changed(netted, path, other))
                assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["ledger", "payout", "bank_file", "bank_line"])
def test_field_of_a_late_redemption__changed_and_sealed_again__fails_at_its_stage(late, top):
    own = late["batch"]["position"]
    for path, value in leaves(late[top], (top,)):
        for other in changes(path, value):
            if other != value:
                tampered = sealed(changed(late, path, other))
                assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


def test_field__changed_without_sealing_again__still_names_its_own_stage(bundle):
    own = bundle["batch"]["position"]
    for path, value in leaves(bundle):
        other = next(other for other in changes(path, value) if other != value)
        assert failing_stage(changed(bundle, path, other)) is stage_of(path, own), path


@pytest.mark.parametrize("how", ["drop first", "drop last", "twice", "reverse"])
def test_list__items_dropped_doubled_or_reversed__fails(bundle, late, how):
    tamper = {
        "drop first": lambda items: items[1:],
        "drop last": lambda items: items[:-1],
        "twice": lambda items: [*items, items[-1]],
        "reverse": lambda items: items[::-1],
    }[how]
    for whole in (bundle, late):
        for path, items in lists(whole):
            other = tamper(items)
            if other == items:
                continue
            assert failing_stage(sealed(changed(whole, path, other))) is not None, path


def test_part__missing_unknown_or_of_another_type__is_no_bundle(bundle, late):
    for path, value in leaves(late["payout"], ("payout",)):
        other = str(value) if isinstance(value, int) else 7
        assert failing_stage(sealed(changed(late, path, other))) is Stage.FORMAT, path
        assert failing_stage(sealed(changed(late, path, None))) is Stage.FORMAT, path
    for path, value in leaves(bundle):
        other = str(value) if isinstance(value, int) else 7
        seal = sealed if path[0] != "digest" else dict
        assert failing_stage(seal(changed(bundle, path, other))) is Stage.FORMAT, path
        assert failing_stage(seal(changed(bundle, path, None))) is Stage.FORMAT, path
    for key in bundle:
        assert failing_stage({k: v for k, v in bundle.items() if k != key}) is Stage.FORMAT
    assert failing_stage(sealed({**bundle, "note": "nobody checks me"})) is Stage.FORMAT
    deep = changed(bundle, ("mandate", "fields", "note"), "nor me")
    assert failing_stage(sealed(deep)) is Stage.FORMAT
