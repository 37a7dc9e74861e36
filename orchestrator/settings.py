"""Reads the environment and `proofrail.toml`, and nothing else does: places and limits of a rail.

The environment comes first, then the file in the home, then the defaults.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from orchestrator.errors import Halt
from orchestrator.home_lock import LOCK_FILE

CONFIGURATION = "proofrail.toml"
FORMAT = 1  # of this file


class OracleSettings(BaseModel):
    """One `[[oracles]]` block: a member of the committee; its token is in keys/NAME.token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    domain: int = Field(ge=1, le=255, description="trust domain: who runs it")
    address: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$", description="its signing address")
    url: str = Field(description="where it answers")
    embedded: bool = Field(default=True, description="`proofrail up` starts it on this machine")
    reader: Literal["own", "library"] = Field(
        default="own", description="library: it reads OCMF with pyocmf alone"
    )


class SafeguardingSettings(BaseModel):
    """The `[safeguarding]` block: the rail's own bank account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    iban: str
    bic: str = ""
    street: str
    building: str
    post_code: str
    town: str
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166, such as DE")

    def account(self) -> dict[str, Any]:
        """Return the account in the form of rail.json: name, iban, bic and address."""
        fields = self.model_dump()
        account = {key: fields.pop(key) for key in ("name", "iban", "bic")}
        return {**account, "address": fields}


class _HomeFile(InitSettingsSource):
    """The settings of `proofrail.toml`: `[api] port` is the setting api_port."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        super().__init__(settings_cls, _from_file(path, set(settings_cls.model_fields)))


class Settings(BaseSettings):
    """One rail's settings; each field can be set as PROOFRAIL_<NAME> in the environment."""

    model_config = SettingsConfigDict(env_prefix="PROOFRAIL_")

    home: Path = Path(".proofrail")
    profile: Literal["dev", "server"] = Field(
        default="dev", description="dev: all on this machine; server: node, oracles, bank elsewhere"
    )
    rpc_url: str = Field(default="http://127.0.0.1:8545", description="URL of the Ethereum node")
    rpc_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="further nodes of other operators: asked if the first is silent, and compared "
        "with it before a block is final",
    )
    chain_embedded: bool = Field(default=True, description="`proofrail up` starts a local chain")
    finality_blocks: int = Field(default=3, ge=1, description="a block is final this deep")
    batch_claims: int = Field(default=200, ge=1, le=1_000, description="claims in one settlement")
    hole_patience_s: int = Field(
        default=30, ge=0, description="wait this long for missing counters"
    )
    api_host: str = Field(default="127.0.0.1", description="address on which the API listens")
    api_port: int = Field(default=8420, ge=0, le=65_535, description="0: a free port")
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
    broker_tls_ca: Path | None = Field(
        default=None, description="PEM of the authorities that readers check the broker with"
    )
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
    max_body_bytes: int = Field(
        default=4 * 1024 * 1024, description="the API refuses larger bodies"
    )
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
    approval_days: int = Field(
        default=7, ge=1, le=365, description="an approval that is not executed by then expires"
    )
    steward_delay_hours: int = Field(
        default=48,
        ge=0,
        le=720,
        description="new contracts let the steward's actions wait so long; below 24 only on the "
        "local chain",
    )
    officers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="addresses that new contracts seat as officers, who approve large payouts",
    )
    cut_off_hour: int = Field(
        default=24,
        ge=0,
        le=24,
        description="orders from this hour (UTC) on are for the next day; 24: no cut-off",
    )
    bank_channel: str = Field(default="", description="sftp://user@host/out?in=/in, else folders")
    bank_simulated: bool = Field(default=True, description="`proofrail up` starts a simulated bank")
    broker_host: str = Field(default="127.0.0.1", description="address of the broker")
    broker_port: int = Field(default=1883, ge=0, le=65_535, description="MQTT port of the broker")
    broker_embedded: bool = Field(default=True, description="`proofrail up` starts a broker")
    safeguarding: SafeguardingSettings | None = None
    oracles: tuple[OracleSettings, ...] = ()
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
    effect_age_s: int = Field(
        default=900, ge=1, description="an effect that waits longer for its target is a problem"
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = init_settings().get("home") or env_settings().get("home") or ".proofrail"
        file = _HomeFile(settings_cls, Path(home) / CONFIGURATION)
        return init_settings, env_settings, file

    @model_validator(mode="before")
    @classmethod
    def _at_once(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let the steward of a home of profile dev act at once, also where 0.5.0 wrote its file."""
        return {"steward_delay_hours": 0} | values if values.get("profile") == "dev" else values

    @field_validator("rpc_urls", "officers", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Take the environment's form too: URLs with commas between them."""
        if isinstance(value, str):
            return tuple(url.strip() for url in value.split(",") if url.strip())
        return value

    @property
    def nats_port(self) -> int:
        """Where readers reach the broker; 0 while its MQTT port is not known either."""
        return self.broker_nats_port or (self.broker_port + 1 if self.broker_port else 0)

    @property
    def api_scheme(self) -> str:
        return "https" if self.api_tls_cert else "http"

    @cached_property
    def run(self) -> Path:
        """What the processes of a running rail write for each other: ready files and the lock."""
        return self.home / "run"

    @cached_property
    def lock(self) -> Path:
        return self.home / LOCK_FILE

    @cached_property
    def logs(self) -> Path:
        return self.home / "logs"

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
    def officer_keys(self) -> Path:
        """Keystores of officers who sign on this machine."""
        return self.keys / "officers"

    @cached_property
    def unlock_keys(self) -> Path:
        """Keys of locked devices, one file each."""
        return self.keys / "unlock"

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


def place_of(home: Path | None) -> Path:
    """Return the folder of a home, also where its configuration cannot be read."""
    return home or Path(os.environ.get("PROOFRAIL_HOME", ".proofrail"))


def read_settings(home: Path | None = None) -> Settings:
    """Return the settings of a home; without one, of PROOFRAIL_HOME or the default.

    Raises:
        Halt: a setting has an unusable value or an unknown name, or the file cannot be read.
    """
    try:
        return Settings(home=home) if home else Settings()
    except ValidationError as error:
        first = error.errors()[0]
        names = [str(part) for part in first["loc"]]
        raise Halt(
            f"The setting PROOFRAIL_{'_'.join(names).upper()} ({'.'.join(names)} in "
            f"{CONFIGURATION}) is invalid: {first['msg']}. Correct or unset it."
        ) from error


def _from_file(path: Path, names: set[str]) -> dict[str, Any]:
    """Return the settings of a file; {} if there is none.

    Raises:
        Halt: it is no TOML, is of another version, or holds an unknown setting.
    """
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Halt(f"{path} cannot be read: {error}. Correct the file.") from error
    version = content.pop("version", None)
    if version != FORMAT:
        raise Halt(
            f"{path} has version {version}, and this program reads version {FORMAT}. Write "
            f"`version = {FORMAT}` at its top, or use the program that wrote it."
        )
    settings = {}
    for name, key, value in _flat(content, names):
        if name not in names or name == "home":
            raise Halt(
                f"{path} has the setting {key}, which does not exist. Correct its name or remove "
                "the line."
            )
        settings[name] = value
    return settings


def _flat(
    table: Mapping[str, Any], names: set[str], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, Any]]:
    """Yield (name of the setting, key in the file, value) of every line of a table."""
    for key, value in table.items():
        path = (*above, key)
        name = "_".join(path)
        if isinstance(value, dict) and name not in names:
            yield from _flat(value, names, path)
        else:
            yield name, ".".join(path), value
