"""Add the example of docs/ADDING.md to a whole rail that runs, in a copy that has its files.

    python -m tests.support.adding_example HOME

It prints the result of two washes as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.keystore import write_private
from scripts.demo import parties
from services.development import development_plan
from tests.support.whole_rail import AT_BANK, WholeRail

CENTS = 10_000
MACHINE = "W-1"
CONTRACT = "PayPerUse"
TERMS = (
    f"about=machine:{MACHINE}",
    "metrics=uses 1..999",
    "plus=uses: 0=0, 1000=2500.00",
    "ceiling=2500.00",
    "period=1 second",
)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "ADDING.md"
_COMMAND = re.compile(r"^    proofrail (product (?:deploy|add) \w+)$", re.MULTILINE)


def wash(key: ec.EllipticCurvePrivateKey, counter: int) -> str:
    """Return one signed record, as the page defines it."""
    at = int(time.time() * 1000) + 1_000 * (counter + 1)  # after the block of the enrolment
    line = json.dumps({"device": MACHINE, "counter": counter, "at": at, "uses": 1})
    r, s = decode_dss_signature(key.sign(line.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{line} {r:064x}{s:064x}"


def main(home: Path) -> int:
    """Run a whole rail in `home` and print the result."""
    plan = development_plan()
    before = replace(plan, products=tuple(name for name in plan.products if name != CONTRACT))
    with patch("scripts.stack.development_plan", return_value=before):
        rail = WholeRail(home / "rail").start()
    try:
        added = add_product(rail)
        restart(rail)
        print(json.dumps({"added": added} | settle_two_washes(rail, home)))
    finally:
        rail.stop()
    return 0


def add_product(rail: WholeRail) -> list[str]:
    """Run the page's commands that add the product; return what each said of itself."""
    commands = [words.split() for words in _COMMAND.findall(PAGE.read_text())]
    return [f"{words[1]} {proofrail(rail, *words, '--yes')['state']}" for words in commands]


def restart(rail: WholeRail) -> None:
    """Stop the service and start it again, on the same chain."""
    stack, oracles = rail.stack, rail.stack.settings.oracles
    stack.stop("orchestrator")
    for oracle in oracles:
        stack.stop(f"oracle-{oracle.name}")
        stack.restart_oracle(oracle.name)
    stack.start_rail()
    deployment = Deployment.load(stack.settings.deployment)
    stack.chain = Chain(stack.settings.rpc_url, deployment, load_artifacts())


def settle_two_washes(rail: WholeRail, home: Path) -> dict:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = home / "machine.pem"
    write_private(
        pem,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    payer, payee = parties.HOUSEHOLD, parties.UTILITY
    proofrail(rail, "device", "add", MACHINE, "--owner", payee.name, "--private-key", str(pem))
    opened = proofrail(
        rail,
        "agreement",
        "open",
        "--device",
        MACHINE,
        "--payer",
        payer.name,
        "--payee",
        payee.name,
        "--product",
        "pay_per_use",
        *[part for term in TERMS for part in ("--term", term)],
        "--cap",
        "100.00",
        "--window",
        "1",
    )
    paid = rail.stack.bank.pay(parties.iban(payer), "", CENTS, opened["funding_reference"])
    assert paid["ok"], paid
    records = [{"protocol": "tally", "record": wash(key, counter)} for counter in (1, 2)]
    answer = rail.api("POST", "/v1/evidence", "operator", json={"records": records}).json()
    rail.until(lambda: _booked(rail, opened["agreement_id"]), "a wash on a bank line")
    payment, other = _payments(rail, opened["agreement_id"])
    bundle = home / "bundle.json"
    proofrail(rail, "audit", "export", payment.payment_id, "-o", str(bundle))
    return {
        "outcomes": [record["outcome"] for record in answer["records"]],
        "amounts_micro": [payment.amount_micro, other.amount_micro],
        "verified": proofrail(rail, "audit", "verify", str(bundle))["ok"],
        "breaks": [str(item) for item in rail.reconciliation().breaks],
    }


def proofrail(rail: WholeRail, *arguments: str) -> dict:
    (done,) = rail.commands([*arguments, "--json"])
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout)


def _payments(rail: WholeRail, agreement: str) -> list:
    return [row for row in rail.all_payments() if row.agreement_id == agreement]


def _booked(rail: WholeRail, agreement: str) -> bool:
    rows = _payments(rail, agreement)
    return len(rows) == 2 and all(row.stage in AT_BANK for row in rows)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
