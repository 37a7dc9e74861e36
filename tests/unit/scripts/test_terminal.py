"""The terminal on the command line: a card, taps, a decline, and sending to a rail by HTTP."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from device_adapters.keys import PublicKey
from device_adapters.merchant.card import WearableCard
from device_adapters.protocols import voucher as protocol
from orchestrator.products.wearable_voucher import product
from scripts.terminal import main
from tests.support.wristband import EURO, MERCHANT, band, card


class EvidenceServer(BaseHTTPRequestHandler):
    """Answers like POST /v1/evidence; the class keeps the requests."""

    outcome, seen = "accepted", []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).seen.append((self.path, self.headers["Authorization"], body))
        records = [
            {
                "evidence": protocol.decode(row["record"].encode()).evidence_hash.hex(),
                "outcome": self.outcome,
            }
            for row in body["records"]
        ]
        answer = json.dumps({"records": records}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def rail():
    EvidenceServer.seen, EvidenceServer.outcome = [], "accepted"
    server = ThreadingHTTPServer(("127.0.0.1", 0), EvidenceServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def key_file(tmp_path):
    """Return the name of a file with an API key."""
    (tmp_path / "api.key").write_text("-secret\n")
    return str(tmp_path / "api.key")


@pytest.fixture
def till(tmp_path):
    """Return the folder of a till that has a card, and the arguments of a tap."""
    wearable = band(tmp_path)
    file = tmp_path / "card.json"
    file.write_text(card(wearable, as_of=int(time.time())).to_json())
    terms = product.encode_terms(wearable.terms).hex()
    wearable.close()
    folder = str(tmp_path / "till")
    assert main([folder, "init", "--payee", MERCHANT, "--merchant-class", "5814"]) == 0
    assert main([folder, "card", str(file)]) == 0
    return folder, [
        "--wearable",
        str(tmp_path / "band"),
        "--name",
        "BAND-1",
        "--cap",
        "1000",
        "--terms",
        terms,
    ]


def test_terminal__taps_offline_then_redeems__only_the_newest_is_sent(till, rail, capsys, key_file):
    folder, wearable = till
    assert main([folder, "tap", "3.50", *wearable]) == 0
    assert main([folder, "tap", "4", *wearable]) == 0
    assert "not yet redeemed 7500000" in capsys.readouterr().out
    assert main([folder, "redeem", "--url", rail, "--api-key", key_file]) == 0
    ((path, key, body),) = EvidenceServer.seen
    assert (path, key) == ("/v1/evidence", "Bearer -secret")
    (row,) = body["records"]
    assert row["protocol"] == "voucher"
    assert protocol.decode(row["record"].encode()).facts["total"] == 7_500_000
    assert main([folder, "redeem", "--url", rail, "--api-key", key_file]) == 0
    assert len(EvidenceServer.seen) == 1  # nothing is due any more


def test_terminal__no_rail_to_reach__nothing_is_lost(till, capsys, key_file):
    folder, wearable = till
    assert main([folder, "tap", "3.50", *wearable]) == 0
    refused = [folder, "redeem", "--url", "http://127.0.0.1:9", "--api-key", key_file]
    assert main(refused) == 1
    assert "The vouchers are kept" in capsys.readouterr().out
    assert main([folder, "show"]) == 0
    assert '"total":3500000' in capsys.readouterr().out


def test_terminal__refused_because_of_the_sender__shows_the_reason_and_the_voucher_stays_due(
    till, rail, capsys, key_file
):
    folder, wearable = till
    redeem = [folder, "redeem", "--url", rail, "--api-key", key_file]
    assert main([folder, "tap", "3.50", *wearable]) == 0
    EvidenceServer.outcome = "device_not_of_topic"
    assert main(redeem) == 1
    assert "device_not_of_topic" in capsys.readouterr().out
    EvidenceServer.outcome = "accepted"
    assert main(redeem) == 0
    assert len(EvidenceServer.seen) == 2 and EvidenceServer.seen[0][2] == EvidenceServer.seen[1][2]


def test_terminal__a_mistyped_argument__is_named_without_a_traceback(till, tmp_path, capsys):
    folder, wearable = till
    assert main([str(tmp_path / "no till"), "show"]) == 1
    assert main([folder, "card", str(tmp_path / "no card")]) == 1
    assert capsys.readouterr().out.count("is missing") == 2
    for wrong in (
        [folder, "init", "--payee", "Café", "--merchant-class", "5814"],
        [folder, "tap", "1", *wearable[:-1], "no hex"],
    ):
        with pytest.raises(SystemExit):
            main(wrong)


def test_terminal__wearable_at_its_offline_bound__taps_again_once_it_was_online(
    till, rail, capsys, key_file
):
    folder, wearable = till
    codes = [main([folder, "tap", "0.01", *wearable]) for _ in range(6)]
    assert codes == [0] * 5 + [1] and "offline_taps" in capsys.readouterr().out
    assert main([folder, "redeem", "--url", rail, "--api-key", key_file]) == 0
    assert main([folder, "tap", "0.01", *wearable]) == 1
    assert main([folder, "tap", "0.01", *wearable, "--online"]) == 0


def test_terminal__a_tap_beyond_the_limit__is_declined_by_name(till, capsys):
    folder, wearable = till
    assert main([folder, "tap", "25.01", *wearable]) == 1
    assert "above_tap_limit" in capsys.readouterr().out


@pytest.mark.parametrize("amount", ["-1", "1,5", "1.2345678", "x"])
def test_terminal__what_is_no_amount__is_refused(till, amount):
    folder, wearable = till
    with pytest.raises(SystemExit):
        main([folder, "tap", amount, *wearable])


def test_terminal__an_exported_card__is_that_of_the_terms_and_the_key(till, tmp_path, capsys):
    wearable, before = band(tmp_path), int(time.time())
    key = PublicKey.from_device_key(wearable.public).point.hex()
    terms = product.encode_terms(wearable.terms).hex()
    capsys.readouterr()
    assert main([till[0], "export", "BAND-1", "--key", key, "--terms", f"0x{terms}"]) == 0
    exported = WearableCard.from_json(capsys.readouterr().out)
    assert before <= exported.as_of and exported == card(wearable, as_of=exported.as_of)
    assert main([till[0], "export", "BAND-1", "--key", "ab", "--terms", terms]) == 1
    file = tmp_path / "public.hex"
    file.write_text(key)
    assert main([till[0], "export", "BAND-1", "--key", str(file), "--terms", terms]) == 0


def test_terminal__a_voucher_by_standard_input__is_taken(till, tmp_path, monkeypatch, capsys):
    folder, _ = till
    wearable = band(tmp_path)
    record = wearable.tap(MERCHANT, 2 * EURO, 5814, int(time.time()))
    stdin = type("Input", (), {"buffer": type("Raw", (), {"read": lambda self: record + b"\n"})()})
    monkeypatch.setattr("sys.stdin", stdin)
    assert main([folder, "take", "2"]) == 0
    assert "counter 1" in capsys.readouterr().out


def test_terminal__api_key_as_an_argument__is_refused(till, capsys):
    with pytest.raises(SystemExit):
        main([till[0], "redeem", "--url", "http://127.0.0.1:9", "--api-key", "prf_secret"])
    refusal = capsys.readouterr().err
    assert "give a file that can be read" in refusal and "prf_secret" not in refusal
