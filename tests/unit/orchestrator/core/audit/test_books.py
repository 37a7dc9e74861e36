"""False books, bank files and anchors with every hash recomputed: each has its stage."""

from __future__ import annotations

import dataclasses
import json
from base64 import b64encode
from hashlib import sha256

import pytest

from orchestrator.core.audit import Anchors, AuditStage, assemble, verify
from orchestrator.core.audit.bundle import sealed
from orchestrator.core.ledger import Entry, Posting, chain_hash, entry
from orchestrator.core.references import attempted, end_to_end_id
from orchestrator.edges.bank import camt
from tests.support.audit_node import ANVIL
from tests.support.audit_story import PRODUCTS, failure, story

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def parts():
    return story().paid


@pytest.fixture
def bundle(parts):
    return assemble(parts)


def rewritten(bundle: dict, place: int, change) -> dict:
    """An entry changed, balanced, and with its own id and hash right again."""
    fields = bundle["ledger"][place]
    postings = [(p["account"], p["asset"], p["amount_minor"]) for p in fields["postings"]]
    other = entry(fields["kind"], fields["ref"], change(postings))
    fields["postings"] = [dataclasses.asdict(posting) for posting in other.postings]
    return rehashed(bundle, place)


def rehashed(bundle: dict, place: int) -> dict:
    fields = bundle["ledger"][place]
    postings = tuple(Posting(**posting) for posting in fields["postings"])
    rest = {name: fields[name] for name in ("entry_id", "kind", "ref", "at", "source")}
    fields["hash"] = chain_hash(fields["previous"], Entry(**rest, postings=postings))
    return bundle


@pytest.mark.parametrize(
    ("place", "stage"),
    [
        (0, AuditStage.LEDGER),
        (1, AuditStage.PAYOUT),
        (2, AuditStage.PAYOUT),
        (3, AuditStage.BANK_LINE),
    ],
)
def test_entry__of_double_amount_with_its_hash_right__is_not_what_happened(bundle, place, stage):
    lie = rewritten(bundle, place, lambda items: [(a, asset, 2 * n) for a, asset, n in items])
    assert failure(lie)[0] is stage


def test_entry__that_does_not_balance_with_its_hash_right__names_the_ledger(bundle):
    first = bundle["ledger"][0]
    first["postings"][0]["amount_minor"] += 1
    stage, detail = failure(rehashed(bundle, 0))
    assert stage is AuditStage.LEDGER
    assert "balance" in detail


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_entry__of_another_id_with_its_hash_right__names_the_ledger(bundle, place):
    fields = bundle["ledger"][place]
    fields["entry_id"] = "0" * 64
    assert failure(rehashed(bundle, place))[0] is AuditStage.LEDGER


@pytest.mark.parametrize(("field", "lie"), [("at", 1), ("source", "block:0x" + "11" * 32)])
@pytest.mark.parametrize(
    ("place", "stage"), [(0, AuditStage.LEDGER), (1, AuditStage.PAYOUT), (2, AuditStage.PAYOUT)]
)
def test_entry__of_another_time_or_block_with_its_hash_right__is_not_what_happened(
    bundle, place, stage, field, lie
):
    bundle["ledger"][place][field] = lie
    assert failure(rehashed(bundle, place))[0] is stage


def test_entry__of_an_old_release_without_a_source__holds(bundle):
    for place, fields in enumerate(bundle["ledger"]):
        fields |= {"at": 1, "source": ""}
        rehashed(bundle, place)
    assert verify(sealed(bundle), PRODUCTS).ok


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_entry__left_out__is_missed(bundle, place):
    del bundle["ledger"][place]
    wanted = (AuditStage.LEDGER, AuditStage.PAYOUT, AuditStage.PAYOUT, AuditStage.BANK_LINE)[place]
    assert failure(bundle)[0] is wanted


def test_payout__another_one_to_the_same_payee_with_its_books__names_the_payout():
    lie = assemble(story().astray)
    stage, detail = failure(lie)
    assert stage is AuditStage.PAYOUT
    assert "did not release this payment" in detail


def test_payout__redeemed_later__names_no_transaction_but_the_one_that_took_the_money(parts):
    late = story().late
    lies = {
        "redeemed in its own transaction": dataclasses.replace(
            parts, redemption=late.redemption, order=late.order
        ),
        "not redeem": dataclasses.replace(late, redemption=None),
        "does not come after the release": dataclasses.replace(late, redemption=parts.payout),
        "another payout order": dataclasses.replace(late, order=parts.order),
        "did not release this payment": dataclasses.replace(
            late, payout=late.redemption, redemption=None
        ),
    }
    for detail, lie in lies.items():
        stage, message = failure(assemble(lie))
        assert stage is AuditStage.PAYOUT
        assert detail in message


def test_payout__redeemed_by_a_holder_of_its_own_tokens__is_not_this_payment_s():
    stage, detail = failure(assemble(story().foreign))
    assert stage is AuditStage.PAYOUT
    assert "did not redeem the rail's money" in detail


def test_payout__redeemed_later_within_the_same_transaction__is_left_out():
    late = story().late
    stage, detail = failure(assemble(dataclasses.replace(late, redemption=late.payout)))
    assert stage is AuditStage.PAYOUT
    assert "does not come after" in detail


def swapped(bundle: dict, parts, part: str, old: str, new: str) -> dict:
    """A bank file with other text, and the SHA-256 of that text."""
    content = parts.bank_file if part == "bank_file" else parts.bank_line[0]
    assert old.encode() in content
    content = content.replace(old.encode(), new.encode())
    bundle[part] |= {
        "sha256": "0x" + sha256(content).hexdigest(),
        "content": b64encode(content).decode(),
    }
    return bundle


@pytest.mark.parametrize(("ordered", "booked"), [(1, 1), (7, 7), (0, 1), (1, 0), (1, 2)])
def test_bank__order_that_failed_and_was_ordered_again__is_proven_by_its_own_reference(
    bundle, parts, ordered, booked
):
    first = end_to_end_id(parts.order)
    for part, attempt in (("bank_file", ordered), ("bank_line", booked)):
        later = end_to_end_id(attempted(parts.order, attempt))
        bundle = swapped(bundle, parts, part, first, later)
    if ordered == booked:
        assert verify(sealed(bundle), PRODUCTS).ok
    else:
        assert failure(bundle)[0] is AuditStage.BANK_LINE


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("bank_file", ">8.47<", ">8.48<"),
        ("bank_file", "DE89370400440532013000", "DE75512108001245126199"),
        ("bank_file", "<EndToEndId>PR", "<EndToEndId>PQ"),
        ("bank_file", 'Ccy="EUR"', 'Ccy="USD"'),
        ("bank_file", "</Document>", ""),
        ("bank_line", ">8.47<", ">8.46<"),
        ("bank_line", "<EndToEndId>PR", "<EndToEndId>PQ"),
        ("bank_line", "DBIT", "CRDT"),
        ("bank_line", "BOOK", "PDNG"),
        ("bank_line", 'Ccy="EUR"', 'Ccy="USD"'),
        ("bank_line", "<Sts>", "<RvslInd>true</RvslInd><Sts>"),
        ("bank_line", "</Refs>", "</Refs><RtrInf/>"),
    ],
)
def test_bank__other_text_with_its_hash_right__is_not_the_payout(bundle, parts, part, old, new):
    assert failure(swapped(bundle, parts, part, old, new))[0].value == part


def test_bank__the_line_s_path__is_spelt_as_the_bank_adapter_spells_it(parts, bundle):
    content, path = parts.bank_line
    [line] = [ln for report in camt.parse(content) for ln in report.lines if ln.path == path]
    assert (line.amount_minor, line.end_to_end_id) == (-847, end_to_end_id(parts.order))
    for other in ("Stmt/Ntry[2]/NtryDtls/TxDtls[1]", "Stmt[1]/Ntry[2]/NtryDtls[1]/TxDtls[1]"):
        bundle["bank_line"]["path"] = other
        assert failure(bundle)[0] is AuditStage.BANK_LINE


def test_bank__the_neighbour_line__is_not_the_payout(bundle):
    bundle["bank_line"]["path"] = bundle["bank_line"]["path"].replace("Ntry[2]", "Ntry[1]")
    assert failure(bundle)[0] is AuditStage.BANK_LINE


@pytest.mark.parametrize(
    ("anchors", "stage"),
    [
        (Anchors(registry="0x" + "11" * 20), AuditStage.DEVICE_KEY),
        (Anchors(rail="0x" + "11" * 20), AuditStage.MANDATE),
        (Anchors(chain_id=1), AuditStage.MANDATE),
        (Anchors(committee="0x" + "11" * 20), AuditStage.ATTESTATION),
        (Anchors(token="0x" + "11" * 20), AuditStage.PAYOUT),
        (Anchors(blocks=frozenset({"0x" + "11" * 32})), AuditStage.DEVICE_KEY),
        (Anchors(files=frozenset({"11" * 32})), AuditStage.BANK_FILE),
    ],
)
def test_anchors__other_than_the_bundle__name_the_stage_that_rests_on_them(bundle, anchors, stage):
    assert failure(bundle, anchors)[0] is stage


def test_anchors__all_as_the_report_prints_them__hold(bundle):
    trust = verify(bundle, PRODUCTS).trust
    assert trust == json.loads(json.dumps(trust))
    anchors = Anchors(
        blocks=frozenset(trust["blocks"].values()),
        chain_id=trust["chain_id"],
        rail=trust["rail"],
        registry=trust["registry"],
        committee=trust["committee"],
        token=trust["token"],
        files=frozenset(trust["files"]),
    )
    report = verify(bundle, PRODUCTS, anchors)
    assert report.complete
    assert report.trust["blocks_anchored"] and report.trust["files_anchored"]
    last = max(trust["blocks"], key=int)
    fewer = dataclasses.replace(anchors, blocks=anchors.blocks - {trust["blocks"][last]})
    assert failure(bundle, fewer)[0] is AuditStage.PAYOUT


@pytest.mark.parametrize("upto", ["ledger", "payout", "bank_file", "bank_line"])
def test_bundle__of_a_payment_on_its_way__holds_as_far_as_it_goes(bundle, upto):
    names = ["ledger", "payout", "bank_file", "bank_line"]
    for name in names[names.index(upto) :]:
        bundle[name] = None
    report = verify(sealed(bundle), PRODUCTS)
    assert report.ok and not report.complete
    assert upto not in [step.stage for step in report.steps]


def test_bundle__with_a_hole_in_its_later_parts__is_no_bundle(bundle):
    bundle["ledger"] = None
    assert failure(bundle)[0] is AuditStage.FORMAT
