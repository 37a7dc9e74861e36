"""`proofrail device` on a real chain: endorse, add, rotate, stop, and what a theft puts at risk."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator

import pytest

from device_adapters.types import device_id
from orchestrator.core import endorsement
from orchestrator.core.payment import Stage
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.edges.store import agreements, evidence, payments, tables
from services.commands.oracle_device_ruling import sign_device_ruling
from tests.support import endorsing
from tests.support.operators_home import OperatorsHome, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
HOUR, DAY = 3_600, 86_400


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorsHome]:
    operators_home = OperatorsHome(tmp_path_factory.mktemp("rail"))
    yield operators_home
    operators_home.close()


def test_add__no_endorsement_on_the_local_chain__the_built_in_ca_endorses_and_is_kept(home):
    view = home.add("cli-1")
    assert "development device CA" in view["endorsed_by"]
    kept = endorsement.read(
        (home.settings.endorsements / f"{view['endorsement']}.pem").read_bytes()
    )
    assert (
        endorsement.check(
            b"".join(key.public_bytes(endorsing.Encoding.PEM) for key in kept),
            [kept[-1]],
            "cli-1",
            home.device("cli-1").public,
            int(time.time()),
        ).sha256.hex()
        == home.row("cli-1").endorsement
        == view["endorsement"]
    )


def test_add__again__sends_nothing_and_keeps_endorsement_and_password(home):
    first = home.add("cli-2")
    before = home.sent()
    again = home.add("cli-2")
    assert home.sent() == before
    assert again | {"password": first["password"]} == first and again["password"] is None


def test_add__a_name_that_no_topic_can_hold__is_enrolled_without_broker_credentials(home):
    """OCMF records of some chargers name nothing but their charge point."""
    name = "EVSEID:DE*ABC*E1*1"
    view = home.add(name)
    assert (view["topic"], view["username"], view["password"]) == (None, None, None)
    assert home.row(name).name == name and name not in credentials.load(home.settings.home)


@pytest.mark.parametrize("name", ["", " cp-1", "cp\n1", "e\u0301", "x" * 65])
def test_add__a_name_in_no_canonical_form__is_refused(home, name):
    key = home.key_file("cli-1")
    arguments = ("device", "add", name, "--private-key", key, "--owner", "Nord eG")
    assert "is not a valid device name" in home.refused(*arguments)


def test_add__dry_run__checks_everything_and_sends_nothing(home):
    before = home.sent()
    assert home.add("cli-3", "--dry-run")["sent"] is False
    assert home.sent() == before and home.row("cli-3") is None
    assert "cli-3" not in credentials.load(home.home)


def test_add__chain_of_a_manufacturer__counts_once_its_root_is_trusted(home, tmp_path):
    root = endorsing.root("Works", days=(-400, 4_000))
    maker = root.issue(endorsing.name("Line 1"), ca=True, days=(-400, 4_000))
    key = endorsing.Holder(home.device("cli-4").public)
    ends = endorsing.moment(int(time.time()) + 900 * 24 * HOUR)
    leaf = maker.issue(endorsing.name("cli-4"), key=key, days=(-400, 1), not_after=ends)
    file = tmp_path / "chain.pem"
    file.write_bytes(endorsing.pem(leaf, maker))
    add = (
        "device",
        "add",
        "cli-4",
        "--private-key",
        home.key_file("cli-4"),
        "--owner",
        "Nord eG",
        "--endorsement",
        file,
    )
    assert "endorsement_root_unknown" in home.refused(*add)
    (home.settings.trust / "works.pem").write_bytes(endorsing.pem(root))
    view = home.run_json(*add)
    assert view["endorsed_by"] == "CN=Line 1"
    assert home.row("cli-4").expires_at == view["expires_at"] == int(ends.timestamp())


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"subject": endorsing.name("cli-other")}, "endorsement_other_device"),
        ({"days": (-20, -10)}, "endorsement_expired"),
    ],
)
def test_add__endorsement_that_does_not_hold__is_refused_by_name(home, tmp_path, change, wanted):
    root = endorsing.root("Other works", days=(-400, 4_000))
    (home.settings.trust / "other.pem").write_bytes(endorsing.pem(root))
    key = endorsing.Holder(home.device("cli-5").public)
    fields = {"subject": endorsing.name("cli-5"), "days": (-400, 4_000)} | change
    leaf = root.issue(fields.pop("subject"), key=key, **fields)
    (tmp_path / "chain.pem").write_bytes(endorsing.pem(leaf))
    words = home.refused(
        "device",
        "add",
        "cli-5",
        "--private-key",
        home.key_file("cli-5"),
        "--owner",
        "Nord eG",
        "--endorsement",
        tmp_path / "chain.pem",
    )
    assert wanted in words and home.row("cli-5") is None


def test_endorse__device_key__is_a_chain_that_add_takes(home, tmp_path):
    device, file = home.device("cli-6"), tmp_path / "cli-6.pem"
    point = f"04{device.public.x:064x}{device.public.y:064x}"
    view = home.run_json("device", "endorse", "cli-6", "--key", point, "--days", 700, "-o", file)
    assert file.read_text() == view["chain"]
    added = home.add("cli-6", "--endorsement", file)
    assert (added["endorsement"], added["expires_at"]) == (view["sha256"], view["expires_at"])
    shown = home.run_json("device", "show", "cli-6")
    assert (shown["key"], shown["chain"][0]["sha256"]) == (point, view["sha256"])
    assert "cli-6" in home.run("device", "show", "cli-6").stdout


def test_show__device_with_a_clone__says_why_it_was_silenced(home):
    home.add("cli-15")
    assert home.run_json("device", "show", "cli-15")["clashes"] == []
    with home.store.write() as session:
        session.add(
            tables.ConflictRow(
                event_id="0x01",
                rejection_id=1,
                device_id=home.row("cli-15").device_id,
                reason="two_places",
                found_at=5,
                content_hash="",
            )
        )
    [clash] = home.run_json("device", "show", "cli-15")["clashes"]
    assert clash == {"reason": "two_places", "records": 1, "first_found_at": 5}
    assert "two_places" in home.run("device", "show", "cli-15").stdout


def test_ca_key__of_a_home__is_its_owners_only(home):
    assert stat.S_IMODE((home.settings.keys / "device-ca.pem").stat().st_mode) == 0o600


def test_list__each_device__shows_status_expiry_and_endorser(home):
    home.add("cli-7")
    with home.store.write() as session:
        agreements.device_by_name(session, "cli-7").expires_at = int(time.time()) - 1
    result = {d["name"]: d for d in home.run_json("device", "list")}["cli-7"]
    assert result["status"] == "expired" and "development" in result["endorsed_by"]
    assert "expired" in home.run("device", "list").stdout


def test_rotate__simulated_device__has_the_new_key_endorsed_and_twice_is_once(home):
    home.add("cli-8")
    arguments = (
        "device",
        "rotate",
        "cli-8",
        "--private-key",
        home.key_file("cli-8"),
        "--new-private-key",
        home.key_file("cli-8-new"),
    )
    before = home.sent()
    assert home.run_json(*arguments, "--dry-run")["sent"] is False
    assert home.sent() == before
    view = home.run_json(*arguments)
    new = home.device("cli-8-new").public
    assert home.row("cli-8").key_x == hex(new.x)
    assert home.row("cli-8").endorsement == view["endorsement"]
    before = home.sent()
    assert home.run_json(*arguments) == view
    assert home.sent() == before


def test_rotate__proofs_made_elsewhere__are_taken_and_the_wrong_way_round_refused(home):
    home.add("cli-9")
    old, new = home.device("cli-9"), home.device("cli-9-new")
    point = f"04{new.public.x:064x}{new.public.y:064x}"
    asked = bytes.fromhex(home.run_json("device", "digest", "cli-9", "--new-key", point)["sha256"])
    by_old, by_new = ("".join(f"{n:064x}" for n in key.sign_digest(asked)) for key in (old, new))
    rotate = ("device", "rotate", "cli-9", "--key", point, "--old-proof")
    words = home.refused(*rotate, by_new, "--new-proof", by_old)
    assert "RotationUnsigned" in words and "old key" in words
    assert "--old-proof" in home.refused("device", "rotate", "cli-9", "--key", point)
    assert home.run_json(*rotate, by_old, "--new-proof", by_new)["device"] == "cli-9"


@pytest.mark.parametrize("arguments", [(), ("--owner", "Nord eG", "--new-key", "04" * 65)])
def test_digest__for_nothing_or_for_both__is_refused(home, arguments):
    assert "--new-key" in home.refused("device", "digest", "cli-1", *arguments)


def test_suspend_and_resume__by_the_warden__change_the_registry(home):
    home.add("cli-10")
    assert home.run_json("device", "suspend", "cli-10", "--by", "warden")["was"] == "active"
    view = home.chain.client.view
    assert not view("DeviceRegistry", "isActive", device_id("cli-10"))
    assert "is suspended" in home.refused(*opened("cli-10"))
    home.run_json("device", "resume", "cli-10")
    assert view("DeviceRegistry", "isActive", device_id("cli-10"))
    assert "registrar or the warden" in home.refused("device", "suspend", "cli-10", "--by", "me")


def opened(device: str) -> tuple[str, ...]:
    return (
        "agreement",
        "open",
        "--device",
        device,
        "--payer",
        "Ada Sommer",
        "--payee",
        "Nord eG",
        "--cap",
        "5",
        "--product",
        "metered_energy",
        "--term",
        "price=0.30",
        "--term",
        "fuse=22000",
    )


def test_retire__dry_run_then_really__ends_the_device_and_its_password(home):
    home.add("cli-11")
    before = home.sent()
    assert home.run_json("device", "retire", "cli-11", "--dry-run")["credential_revoked"] is False
    assert home.sent() == before
    assert home.run_json("device", "retire", "cli-11")["credential_revoked"] is True
    assert "is retired" in home.refused("device", "resume", "cli-11")


def paid(home: OperatorsHome, name: str, observed: int, stage: Stage, amount: int) -> str:
    """A payment of one record of a device, in the store alone."""
    identity = f"0x{observed:064x}"
    row = home.row(name)
    with home.store.write() as session:
        session.add(
            payments.PaymentRow(
                payment_id=identity,
                agreement_id="0x" + "77" * 32,
                sequence=observed,
                stage=stage,
                first_counter=1,
                last_counter=1,
                amount_micro=amount,
                created_at=0,
                release_at=int(time.time()) + HOUR,
            )
        )
        session.add(
            evidence.EventRow(
                event_id=identity,
                device_id=row.device_id,
                counter=observed,
                observed_at_ms=observed * 1000,
                received_at=0,
                evidence_hash="",
                content_hash="",
                agreement_id="0x" + "77" * 32,
                payment_id=identity,
            )
        )
    return identity


def test_risk__settled_before_and_after__lists_what_is_open_from_then_on(home):
    home.add("cli-12")
    assert "--since" in home.refused("device", "risk", "cli-12")
    paid(home, "cli-12", 1_000, Stage.SETTLED, 5)
    open_, gone = (
        paid(home, "cli-12", at, stage, 7)
        for at, stage in ((2_000, Stage.POSTED), (2_001, Stage.RECONCILED))
    )
    result = home.run("device", "risk", "cli-12", "--since", "2000", "--json")
    view = json.loads(result.stdout)
    assert result.exit_code == 1  # money may be lost
    assert [(p["payment_id"], p["remedy"]) for p in view["payments"]] == [
        (open_, "freeze"),
        (gone, "at_bank"),
    ]
    assert view["open"] == {"amount": "14", "asset": "tEUR/6"}
    assert "0.000014 tEUR" in home.run("device", "risk", "cli-12", "--since", "2000").stdout
    assert home.run("device", "risk", "cli-12", "--since", "2002").exit_code == 0


def test_compromise__dated_back__ends_the_device_and_lists_what_was_paid(home):
    home.add("cli-13")
    since = int(time.time()) - HOUR
    identity = paid(home, "cli-13", since + 1, Stage.RECONCILED, 9)
    before = home.sent()
    dry = home.run_json("device", "compromise", "cli-13", "--since", since, "--dry-run")
    assert [p["payment_id"] for p in dry["payments"]] == [identity] and not dry["sent"]
    assert home.sent() == before and home.row("cli-13").status == "active"
    view = home.run_json("device", "compromise", "cli-13", "--since", since)
    assert view["payments"] == dry["payments"]
    call_view = home.chain.client.view
    assert call_view("DeviceRegistry", "compromisedSince", device_id("cli-13")) == since
    assert "cli-13" not in credentials.load(home.home)
    before = home.sent()
    assert home.run_json("device", "compromise", "cli-13", "--since", since)["since"] == since
    assert home.sent() == before
    assert home.run("device", "risk", "cli-13").exit_code == 1  # since then, by default


def _rulings(home, name: str, since: int, folder, oracles=(5, 7, 8)) -> list:
    """Files with the signed rulings of some oracles."""
    files = []
    for index in oracles:
        key = bytes(keystore.development_account(index).key)
        signed = sign_device_ruling(home.chain.client, key, name, since, "A person")
        files.append(folder / f"{index}-{since}-{len(list(folder.iterdir()))}.json")
        files[-1].write_text(json.dumps(signed))
    return files


def test_compromise__longer_ago_than_a_week__the_dry_run_says_that_a_ruling_is_needed(home):
    home.add("cli-15")
    long_ago, before = home.chain.now() - 30 * DAY, home.sent()
    compromise = ("device", "compromise", "cli-15", "--since", long_ago)
    view = home.run_json(*compromise, "--dry-run")
    assert view["needs_ruling"] and abs(view["earliest_without_ruling"] - long_ago - 23 * DAY) < DAY
    assert "ruling device cli-15" in home.run(*map(str, compromise), "--dry-run").stdout
    assert "ask the oracles for a ruling" in home.refused(*compromise)
    assert home.sent() == before and home.row("cli-15").status == "active"


def test_rule__quorum_of_oracles__sets_the_time_and_takes_it_back(home, tmp_path):
    home.add("cli-16")
    long_ago = home.chain.now() - 30 * DAY
    files = _rulings(home, "cli-16", long_ago, tmp_path)
    assert home.run_json("device", "rule", "cli-16", *files, "--dry-run")["sent"] is False
    assert home.row("cli-16").status == "active"
    view = home.run_json("device", "rule", "cli-16", *files)
    assert (view["since"], view["number"], view["signatures"]) == (long_ago, 0, 3)
    row = home.row("cli-16")
    assert (row.status, row.compromised_since) == ("compromised", long_ago)
    assert "sign again" in home.refused("device", "rule", "cli-16", *files)  # it counted
    home.run_json("device", "rule", "cli-16", *_rulings(home, "cli-16", 0, tmp_path))
    row = home.row("cli-16")
    assert (row.status, row.compromised_since) == ("active", None)


def test_rule__too_few_other_or_forged_documents__sends_nothing(home, tmp_path):
    home.add("cli-17")
    home.add("cli-18")
    before, long_ago = home.sent(), home.chain.now() - 30 * DAY
    good = _rulings(home, "cli-17", long_ago, tmp_path)
    rule = ("device", "rule", "cli-17")
    assert "QuorumMissing" in home.refused(*rule, *good[:2])
    [other] = _rulings(home, "cli-17", long_ago + 1, tmp_path, (5,))
    assert "says {'since'" in home.refused(*rule, *good, other)
    assert "says {'device'" in home.refused("device", "rule", "cli-18", *good)
    forged = json.loads(good[0].read_text()) | {"oracle": "0x" + "11" * 20}
    good[0].write_text(json.dumps(forged))
    assert "not signed by it" in home.refused(*rule, *good)
    good[0].write_text("no json")
    assert "no ruling on a device" in home.refused(*rule, *good)
    assert home.sent() == before


def test_compromise__of_the_future__is_refused(home):
    home.add("cli-14")
    later = str(int(time.time()) + HOUR)
    assert "not in the past" in home.refused("device", "compromise", "cli-14", "--since", later)
