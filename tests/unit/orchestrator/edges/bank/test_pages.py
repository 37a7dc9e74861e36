"""Pages are one statement, and only what repeats balances and lines is a duplicate."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import Rejected
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.reading import read

ACCOUNT = "DE02120300000000202051"


def euro(cents: int) -> str:
    return f"{'D' if cents < 0 else 'C'}{{}}EUR{abs(cents) // 100},{abs(cents) % 100:02}"


def page(
    opening: int,
    cents: list[int],
    *,
    number: str = "27",
    day: str = "261120",
    tags: tuple[str, str] = ("60F", "62F"),
    reference: str = "STARTUMS",
    texts: list[str] | None = None,
) -> str:
    """One page of an MT940 with these lines."""
    texts = texts or [f"line {index} at {opening}" for index in range(len(cents))]
    lines = "".join(
        f":61:{day}{'D' if amount < 0 else 'C'}{abs(amount) // 100},{abs(amount) % 100:02}NTRFX\n"
        f":86:{text}\n"
        for amount, text in zip(cents, texts, strict=True)
    )
    closing = opening + sum(cents)
    return (
        f":20:{reference}\n:25:{ACCOUNT}\n:28C:{number}\n:{tags[0]}:{euro(opening).format(day)}\n"
        f"{lines}:{tags[1]}:{euro(closing).format(day)}\n-\n"
    )


def taken(*parts: str, **options):
    return camt.parse("".join(parts).encode(), **options)


def refused(*parts: str) -> str:
    with pytest.raises(Rejected) as caught:
        taken(*parts)
    return str(caught.value.reason)


PAGES = {
    "each opened and closed, numbered": (
        page(1_000, [25], number="33101/1"),
        page(1_025, [-5], number="33101/2"),
        page(1_020, [7], number="33101/3"),
    ),
    "each opened and closed, without numbers": (page(1_000, [25]), page(1_025, [-5, 7])),
    "interim balances without numbers": (
        page(1_000, [25], tags=("60F", "62M")),
        page(1_025, [-5], tags=("60M", "62M")),
        page(1_020, [7], tags=("60M", "62F"), reference="ANOTHER"),
    ),
    "interim balances and numbers": (
        page(1_000, [25], number="27/1", tags=("60F", "62M")),
        page(1_025, [-5, 7], number="27/2", tags=("60M", "62F")),
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages__of_one_statement__are_one(name):
    (statement,) = taken(*PAGES[name])
    balances = statement.balances
    assert (balances.opening_minor, balances.closing_minor) == (1_000, 1_027)
    assert [line.amount_minor for line in statement.lines] == [25, -5, 7]
    numbers = [report.page for report in read("".join(PAGES[name]).encode()).reports]
    assert numbers == list(range(1, len(numbers) + 1))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-999, 999).filter(bool), min_size=1, max_size=9), st.data())
def test_pages__of_a_statement_cut_anywhere__are_its_lines_and_balances(cents, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(cents)), max_size=4)) | {0, len(cents)})
    texts = [f"payment {number}" for number in range(len(cents))]
    parts = [
        page(5_000 + sum(cents[:begin]), cents[begin:end], texts=texts[begin:end])
        for begin, end in pairwise(cuts)
    ]
    (statement,) = taken(*parts)
    assert [line.amount_minor for line in statement.lines] == cents
    assert [line.text for line in statement.lines] == texts
    balances = statement.balances
    assert (balances.opening_minor, balances.closing_minor) == (5_000, 5_000 + sum(cents))


def test_pages__with_equal_payments_that_the_balances_hold__keep_both():
    (statement,) = taken(
        page(1_000, [25], texts=["the same"]), page(1_025, [25], texts=["the same"])
    )
    assert [line.amount_minor for line in statement.lines] == [25, 25]


@pytest.mark.parametrize(
    "parts",
    [
        (page(1_000, [25]), page(1_000, [25])),
        (page(1_000, [25, -25]), page(1_000, [25, -25])),  # closes where it opens
        (page(1_000, []), page(1_000, [])),
        (page(1_000, [25]), page(1_025, [-25]), page(1_000, [25])),
        (  # the day once more, with a later line: the first would count twice
            page(1_000, [25], texts=["a"]),
            page(1_000, [25, 5], texts=["a", "b"]),
        ),
        (
            page(1_000, [5, -5], texts=["a", "b"]),
            page(1_000, [5, -5, 3, -3], texts=["a", "b", "c", "d"]),
        ),
    ],
)
def test_statement__repeated_in_its_file_whole_or_in_part__is_refused_by_name(parts):
    assert refused(*parts) == "duplicate_statement"


def test_statement__of_another_day_or_number__is_another_statement():
    for later in (page(1_025, [7], day="261121"), page(1_025, [7], number="28")):
        first, second = taken(page(1_000, [25]), later)
        assert first.id != second.id
        assert [len(statement.lines) for statement in (first, second)] == [1, 1]


def stmt(opening: str, amount: str, closing: str, day: str, text: str = "x", **extra: str) -> str:
    """A camt.053 statement whose id is the same every day."""
    balance = (
        '<Bal><Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{}</Amt><CdtDbtInd>CRDT'
        f"</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
    )
    return (
        f"<Stmt><Id>STMT</Id>{extra.get('sequence', '')}<Acct><Id><IBAN>{ACCOUNT}</IBAN></Id><Ccy>"
        f"EUR</Ccy></Acct>{balance.format('OPBD', opening)}{balance.format('CLBD', closing)}<Ntry>"
        f'<Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt>'
        f"<Dt>{day}</Dt></BookgDt><AddtlNtryInf>{text}</AddtlNtryInf></Ntry></Stmt>"
    )


def file_of(*statements: str) -> bytes:
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr>'
        f"<MsgId>M</MsgId></GrpHdr>{''.join(statements)}</BkToCstmrStmt></Document>"
    ).encode()


MONDAY = stmt("0.00", "5.00", "5.00", "2026-11-23")
TUESDAY = stmt("5.00", "5.00", "10.00", "2026-11-24")


def test_id__same_every_day_in_one_file__is_a_statement_a_day():
    monday, tuesday = camt.parse(file_of(MONDAY, TUESDAY))
    assert (monday.id, tuesday.id[:5]) == ("STMT", "STMT/") and len(tuesday.id) == 21
    assert tuesday.balances.statement == tuesday.id
    assert [str(item.lines[0].booking_date) for item in (monday, tuesday)] == [
        "2026-11-23",
        "2026-11-24",
    ]
    with pytest.raises(Rejected, match="duplicate_statement"):
        camt.parse(file_of(MONDAY, MONDAY))


def test_id__same_in_another_file__is_a_duplicate_only_with_equal_balances_and_lines():
    (monday,) = camt.parse(file_of(MONDAY))
    names = {(ACCOUNT, "STMT"): camt.content_digest(monday)}

    def known(account: str, name: str) -> str:
        return names.get((account, name), "")

    with pytest.raises(Rejected, match="duplicate_statement"):
        camt.parse(file_of(MONDAY.replace("<Id>", "<Id>\n")), taken=known)
    (tuesday,) = camt.parse(file_of(TUESDAY), taken=known)
    names[ACCOUNT, tuesday.id] = camt.content_digest(tuesday)
    with pytest.raises(Rejected, match="duplicate_statement"):
        camt.parse(file_of(TUESDAY), taken=known)
    for other in (
        stmt("0.00", "6.00", "6.00", "2026-11-23"),
        stmt("0.00", "5.00", "5.00", "2026-11-23", "y"),
    ):
        assert camt.parse(file_of(other), taken=known)[0].id not in ("STMT", tuesday.id)
