"""A rail behind its API for tests: real store, intake, receipts and signed records.

Only the chain (keys of devices, agreements) is a stand-in in memory. Each answer is checked against
the OpenAPI document: an undocumented status, media type or shape fails the test.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import ECKey

from device_adapters.types import DeviceKey, device_id
from oracles.types import Agreement, ClaimReason
from orchestrator.core.receipt import Receipts, public_key_of, read_receipt
from orchestrator.edges.api import (
    ApiParts,
    create_app,
    effects_wire,
    party_calls_wire,
    registration_wire,
    views,
    wire,
)
from orchestrator.edges.store import Store, add_all, tables
from orchestrator.edges.store.access import issue_key
from orchestrator.errors import Retry
from orchestrator.ingest.intake import Intake
from orchestrator.products import products
from orchestrator.settings import Settings
from orchestrator.views.trace import trace
from services.simulated_devices.device import SimulatedMeter
from services.simulated_devices.fleet import Fleet
from services.simulated_devices.record import sign

with warnings.catch_warnings():  # it recommends another package
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

START = 1_750_000_000
NOW = START + 400 * 86_400
RAW = {"Content-Type": "text/plain"}
DEVICES = ("acme-1", "acme-2", "borg-1", "ACME-3")


def agreement_of(device: bytes) -> bytes:
    """Return the id of the stand-in's agreement for a device."""
    return sha256(device).digest()


class ApiChain:
    """Stand-in for the registry on chain. `away` makes it unreachable."""

    def __init__(self) -> None:
        self.keys: dict[bytes, DeviceKey] = {}
        self.away = False

    def key_at(self, device: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        if self.away:
            raise Retry("the node does not answer")
        return self.keys.get(device, ClaimReason.DEVICE_UNKNOWN)

    def compromised_since(self, device: bytes) -> int | None:
        return None

    def gateway_at(self, device: bytes, at_seconds: int) -> bytes | None:
        return None

    def agreements_of(self, device: bytes) -> list[Agreement]:
        return [
            Agreement(
                agreement=agreement_of(device),
                device="",
                device_id=device,
                product="metered_energy",
                terms=b"",
                start=0,
                expires_at=2**32,
                first_counter=0,
            )
        ]

    def agreements_about(self, subject: bytes) -> list[Agreement]:
        return []

    def agreements_hearing(self, device: bytes) -> list[Agreement]:
        return []


@cache
def _documents() -> dict[tuple[bool, ...], dict[str, Any]]:
    """Hold the OpenAPI document of each set of routes that an app of these tests has."""
    return {}


class ApiRail:
    """Devices of two partners (`acme-`, `borg-`) and a key for each role."""

    def __init__(self, home: Path) -> None:
        self.home, self.chain, self.clock = home, ApiChain(), NOW
        self.fleet = Fleet(home, charge_points=0, meters=0, seed=7, start_at=START)
        for name in DEVICES:
            self.chain.keys[device_id(name)] = self.fleet.add(name).public
        self.store = Store(home / "rail.sqlite3")
        self.pem = ECKey.generate_key("P-256").as_pem(private=True)
        self.receipts = Receipts(self.pem)
        self.settings = Settings(
            home=home,
            max_body_bytes=200_000,
            api_requests_per_minute=10**6,
            api_refused_per_minute=10**6,
        )
        self.worker = {"turns": {"collect": 4}, "halted": {}}
        self._enrol()
        with self.store.write() as session:
            self.keys = {
                name: issue_key(session, name, role, scope)
                for name, role, scope in (
                    ("acme", "partner", "acme-"),
                    ("borg", "partner", "borg-"),
                    ("auditor", "auditor", ""),
                    ("operator", "operator", ""),
                )
            }
        self.start()

    def start(self, receipts: Receipts | None = None, **changed: Any) -> None:
        """Start a new process on the same store."""
        intake = Intake(self.store, self.chain, products(), lambda: NOW)
        parts = {
            "store": self.store,
            "intake": intake,
            "receipts": receipts or self.receipts,
            "worker": lambda: self.worker,
            "settings": self.settings,
            "now": lambda: self.clock,
            "trace": trace,
            "registration": None,
            "party_calls": None,
        }
        parts |= changed
        self.app = create_app(ApiParts(**parts))
        # it depends on the routes alone, and takes half a second to make
        routes = tuple(parts[name] is None for name in ("trace", "registration", "party_calls"))
        documents = _documents()
        self.app.openapi_schema = documents.get(routes)
        self.schema = documents[routes] = self.app.openapi()

    def client(self, name: str = "", key: str | None = None) -> TestClient:
        """Return a client with the key of that name; "" has none."""
        key = key or self.keys.get(name)
        client = TestClient(
            self.app,
            raise_server_exceptions=False,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        client.event_hooks = {"response": [self._as_documented]}
        return client

    def device(self, name: str = "acme-1") -> SimulatedMeter:
        return self.fleet[name]

    def record(self, name: str = "acme-1") -> bytes:
        """Return the device's next signed record."""
        return self.device(name).make_records(1)[0]

    def forged(self, name: str = "acme-1") -> bytes:
        """Return a record of this device that another key signed."""
        stranger = self.fleet.add("stranger")
        record = self.record(name)
        payload = record.split(b"|")[1].decode()
        return sign(payload, stranger.key)

    def verified(self, receipt: dict[str, str]) -> dict[str, Any]:
        return read_receipt(receipt["receipt"].encode(), public_key_of(self.receipts.public_pem))

    def rows(self, table: type) -> list[Any]:
        with self.store.read() as session:
            return session.query(table).all()

    def close(self) -> None:
        self.fleet.close()
        self.store.close()

    def _enrol(self) -> None:
        with self.store.write() as session:
            add_all(
                session,
                [
                    tables.DeviceRow(
                        device_id="0x" + device_id(name).hex(),
                        name=name,
                        curve="secp256r1",
                        key_x="0x1",
                        key_y="0x2",
                        owner="0x" + "33" * 20,
                        enrolled_at=START,
                    )
                    for name in DEVICES
                ],
            )
        for name in DEVICES:
            self.agree(name, agreement_of(device_id(name)))

    def agree(self, name: str, identity: bytes) -> None:
        """Return the stored row of an agreement with a device."""
        agreement = "0x" + identity.hex()
        with self.store.write() as session:
            add_all(
                session,
                [
                    tables.AgreementRow(
                        agreement_id=agreement,
                        device_id="0x" + device_id(name).hex(),
                        device=name,
                        product="",
                        product_address="",
                        payer="",
                        payee="",
                        cap_micro=0,
                        period_days=30,
                        window_s=60,
                        expiry=2**31,
                        first_counter=0,
                        required_domain=0,
                        salt="0x",
                        terms="0x",
                        signature="0x",
                        reference=agreement,
                        stage="live",
                    )
                ],
            )

    def _as_documented(self, response: httpx.Response) -> None:
        response.read()
        media = response.headers["content-type"].partition(";")[0]
        documented = self._documented(response.request)
        if media == "application/problem+json":
            problem = wire.ProblemDocument.model_validate(response.json(), strict=True)
            assert problem.status == response.status_code
        if documented is None:
            assert response.status_code in (200, 404, 405, 413), response.text
            return
        content = documented["responses"][str(response.status_code)]["content"][media]
        if media == "application/problem+json":
            is_documented = response.json()["code"] in content["examples"] or records_in(response)
            assert is_documented, response.text
        elif "$ref" in content["schema"]:
            shape(content["schema"]).model_validate_json(response.content)

    def _documented(self, request: httpx.Request) -> dict[str, Any] | None:
        for path, methods in self.schema["paths"].items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", path)
            if re.fullmatch(pattern, request.url.path) and request.method.lower() in methods:
                return methods[request.method.lower()]
        return None


def records_in(response: httpx.Response) -> bool:
    """Return whether a problem has records; then its code is any reason of the catalogue."""
    return "records" in response.json()


def shape(schema: dict[str, str]) -> type:
    """Return the model of a $ref; `Page_EventView_` is Page[EventView]."""
    name = schema["$ref"].rsplit("/", 1)[1]
    if page := re.fullmatch(r"Page_(\w+)_", name):
        return views.Page[_model(page[1])]
    return _model(name)


def _model(name: str) -> type:
    modules = (wire, views, effects_wire, registration_wire, party_calls_wire)
    return next(getattr(module, name) for module in modules if hasattr(module, name))
