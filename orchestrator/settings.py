"""Reads the environment, and nothing else does: where this rail keeps its state, and its limits."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One rail's settings; each field can be set as PROOFRAIL_<NAME> in the environment."""

    model_config = SettingsConfigDict(env_prefix="PROOFRAIL_")

    home: Path = Path(".proofrail")
    rpc_url: str = "http://127.0.0.1:8545"
    finality_blocks: int = Field(default=3, ge=1, description="a block is final this deep")
    batch_claims: int = Field(default=200, ge=1, le=256, description="claims in one settlement")
    hole_patience_s: int = Field(
        default=30, ge=0, description="wait this long for missing counters"
    )
    api_host: str = "127.0.0.1"
    api_port: int = 0
    broker_nats_port: int = Field(
        default=0, ge=0, description="where readers reach the broker; 0: its MQTT port + 1"
    )
    broker_log_bytes: int = Field(
        default=4 * 1024**3, ge=1024**2, description="a full log takes nothing more from devices"
    )
    broker_log_hours: int = Field(
        default=7 * 24, ge=1, description="messages leave the broker's log at this age"
    )
    broker_device_messages: int = Field(
        default=200_000, ge=1, description="most messages of one device in the broker's log"
    )
    broker_tls_cert: Path | None = Field(default=None, description="PEM of the broker; None: plain")
    broker_tls_key: Path | None = Field(default=None, description="PEM of its private key")
    broker_tls_client_ca: Path | None = Field(
        default=None, description="PEM of the CA whose certificates devices must show"
    )
    api_tls_cert: Path | None = Field(default=None, description="certificate chain of the API, PEM")
    api_tls_key: Path | None = Field(default=None, description="private key of the API, PEM")
    oracle_tls_ca: Path | None = Field(
        default=None, description="authorities that oracles' servers are checked with, PEM"
    )
    oracle_tls_cert: Path | None = Field(
        default=None, description="the certificate that the rail shows to oracles, PEM"
    )
    oracle_tls_key: Path | None = Field(default=None, description="its private key, PEM")
    max_body_bytes: int = 4 * 1024 * 1024
    api_requests_per_minute: int = Field(
        default=1_200, ge=1, description="requests of one API key, or of one address without a key"
    )
    api_registration: bool = Field(
        default=False,
        description="the API enrols devices and opens agreements; needs the registrar's key",
    )
    api_refused_per_minute: int = Field(
        default=60, ge=1, description="requests of one address with a missing or unknown key"
    )
    payouts_per_file: int = Field(default=1_000, ge=1, le=50_000, description="orders in a file")
    file_cents: int = Field(
        default=1_000_000_000, ge=1, description="the largest total of one file"
    )
    four_eyes_cents: int = Field(
        default=1_000_000, ge=0, description="payouts above it need two officers' approval"
    )
    cut_off_hour: int = Field(
        default=24,
        ge=0,
        le=24,
        description="orders from this hour (UTC) on are for the next day; 24: no cut-off",
    )
    bank_channel: str = Field(default="", description="sftp://user@host/out?in=/in, else folders")
    bank_fetch_s: int = Field(
        default=14_400, ge=60, description="a bank that leaves an order file for longer is silent"
    )
    block_age_s: int = Field(
        default=600,
        ge=1,
        description="a chain whose newest block is older is behind; an idle development chain "
        "mines every 300 s",
    )
    send_age_s: int = Field(
        default=300, ge=1, description="a transaction that waits longer for a block is stuck"
    )
    statement_hour: int = Field(
        default=8,
        ge=0,
        le=24,
        description="the statement of a bank day is due at this hour (UTC) of the next day; "
        "24: never",
    )
    free_disk_mb: int = Field(default=1_024, ge=1, description="less free space is a problem")
    api_connections: int = Field(
        default=512, ge=8, le=700, description="open connections of the API; more end idle ones"
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65_535, description="/metrics on loopback, without a key; 0: none"
    )
    otlp_endpoint: str = Field(
        default="",
        description="OpenTelemetry collector for spans, as http://host:4318; empty: none",
    )
    bank_rest_s: int = Field(
        default=5,
        ge=0,
        description="seconds after which a bank file without a visible end counts as complete",
    )
    debug: bool = Field(default=False, description="commands show tracebacks of internal errors")

    @cached_property
    def database(self) -> Path:
        return self.home / "proofrail.sqlite3"

    @cached_property
    def deployment(self) -> Path:
        return self.home / "deployment.json"

    @cached_property
    def keys(self) -> Path:
        return self.home / "keys"

    @cached_property
    def trust(self) -> Path:
        """PEM files of the root certificates that may vouch for devices."""
        return self.home / "trust" / "devices"

    @cached_property
    def endorsements(self) -> Path:
        """The checked chains of enrolled keys, each named by its device certificate's SHA-256."""
        return self.home / "endorsements"

    @cached_property
    def tls(self) -> Path:
        """The rail's own certificate authority, and what it issued."""
        return self.home / "tls"

    @cached_property
    def to_bank(self) -> Path:
        return self.home / "bank" / "to_bank"

    @cached_property
    def bank_sftp(self) -> Path:
        """What this rail stores about a bank that it reaches by SFTP, such as its host key."""
        return self.home / "bank" / "sftp"

    @cached_property
    def from_bank(self) -> Path:
        return self.home / "bank" / "from_bank"
