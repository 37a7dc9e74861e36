"""`proofrail agreement open` of a fleet: its meters come from a file, and are checked by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_adapters.types import device_id
from orchestrator.edges.store import agreements
from orchestrator.products import products
from tests.support.operators_home import OperatorsHome, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
RULES = products()["metered_fleet"]
METERS = ("tenant-1", "tenant-2", "tenant-3")
TERMS = ("price=0.30", "fuse=22000", "period=1 day", "started=2026-01-01T00:00Z")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorsHome]:
    operators_home = OperatorsHome(tmp_path_factory.mktemp("rail"))
    for name in ("site-1", "site-2", *METERS):
        operators_home.add(name)
    yield operators_home
    operators_home.close()


def opening(head: str, members: str, product: str = "metered_fleet") -> tuple[str, ...]:
    words = [part for term in TERMS for part in ("--term", term)]
    return (
        *("agreement", "open", "--device", head, "--payer", "Ada Sommer", "--payee", "Nord eG"),
        *("--cap", "500.00", "--product", product, *words, "--term", f"members={members}"),
    )


def table(folder: Path, *rows: str) -> str:
    file = folder / "members.csv"
    file.write_text("\ufeff" + "\r\n".join(["device,counter,register", *rows, ""]), "utf-8")
    return f"@{file}"


def test_open__members_of_a_file__are_agreed_and_then_charged_nowhere_else(home, tmp_path):
    rows = [f"{name},{number},{number}0.5" for number, name in enumerate(METERS, 1)]
    members = table(tmp_path, *rows)
    opened = home.run_json(*opening("site-1", members))
    assert opened["terms"]["meters"] == "3, together 61.5 kWh at the start"
    with home.store.read() as session:
        row = agreements.get(session, opened["agreement_id"])
    terms = RULES.decode_terms(bytes.fromhex(row.terms[2:]))
    starts = {member.device: member[1:3] for member in terms.members}
    assert starts == {device_id(name): (n, n * 10_000 + 500) for n, name in enumerate(METERS, 1)}
    shown = home.run("agreement", "show", opened["agreement_id"]).stdout
    assert "3, together 61.5 kWh at the start" in shown and "none yet" in shown
    other = home.refused(*opening("site-2", members))
    assert "tenant-" in other and "device_charged_elsewhere" in other
    energy = ("--product", "metered_energy", "--term", "price=0.30", "--term", "fuse=22000")
    own = ("agreement", "open", "--device", "tenant-2", "--payer", "Ada Sommer", "--payee")
    refused = home.refused(*own, "Nord eG", "--cap", "500.00", *energy)
    assert f"`proofrail agreement close {opened['agreement_id'][:12]}`" in refused


@pytest.mark.parametrize(
    "rows, reason",
    [
        (["tenant-9,0,1"], "device_not_active"),
        (["tenant-1,0"], "not device, counter, register"),
        ([], "name no member"),
    ],
)
def test_open__members_that_cannot_be_agreed__are_named_before_anything_is_sent(
    home, tmp_path, rows, reason
):
    assert reason in home.refused(*opening("site-2", table(tmp_path, *rows)))


def test_open__members_in_a_file_that_is_not_there__says_so(home, tmp_path):
    assert "cannot be read" in home.refused(*opening("site-2", f"@{tmp_path}/missing.csv"))
