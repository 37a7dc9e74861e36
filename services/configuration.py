"""Writes `proofrail.toml`: every setting with its value, under a comment that says what it does.

The comments come from `orchestrator/settings.py`, so the file and the program cannot differ.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from orchestrator.settings import FORMAT, OracleSettings, SafeguardingSettings, Settings

SECTIONS = ("chain", "api", "broker", "bank")  # `[api] port` is the setting api_port
_BLOCKS: dict[str, type[BaseModel]] = {
    "safeguarding": SafeguardingSettings,
    "oracles": OracleSettings,
}
_UNSET = ["# [safeguarding] (not set)"]
_HEAD = """\
# The configuration of one rail, read at the start of its processes and by every command.
# An environment variable goes first: PROOFRAIL_API_PORT stands for port in [api].
# `proofrail doctor` checks this file. It names no secret; those are in keys/.

# The format of this file.
version = {version}
"""


def render(values: Mapping[str, Any]) -> str:
    """Return the text of a configuration.

    Args:
        values: settings that differ from their defaults; `safeguarding` is a table of strings,
            `oracles` a list of tables.
    """
    fields = {name: field for name, field in Settings.model_fields.items() if name != "home"}
    plain = [name for name in fields if name not in _BLOCKS and not _section(name)]
    lines = [_HEAD.format(version=FORMAT), *_settings(plain, values)]
    for section in SECTIONS:
        names = [name for name in fields if _section(name) == section]
        lines += [f"[{section}]", "", *_settings(names, values, section)]
    account = values.get("safeguarding")
    lines.append("# The rail's own bank account, whose money backs the tokens.")
    lines += ["[safeguarding]", *_block(SafeguardingSettings, account)] if account else _UNSET
    for oracle in values.get("oracles", ()):
        lines += ["", "[[oracles]]", *_block(OracleSettings, oracle)]
    return "\n".join(lines) + "\n"


def _section(name: str) -> str:
    first, _, rest = name.partition("_")
    return first if rest and first in SECTIONS else ""


def _settings(names: Sequence[str], values: Mapping[str, Any], section: str = "") -> Iterator[str]:
    for name in names:
        field = Settings.model_fields[name]
        yield from _comment(field.description or name.replace("_", " "))
        key = name.removeprefix(f"{section}_") if section else name
        value = values.get(name, field.get_default(call_default_factory=True))
        yield f"# {key} = (not set)" if value is None else f"{key} = {_toml(value)}"
        yield ""


def _block(model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if field.description:
            yield from _comment(field.description)
        yield f"{name} = {_toml(values.get(name, field.default))}"


def _comment(text: str) -> Iterator[str]:
    sentence = text[0].upper() + text[1:].rstrip(".") + "."
    return (f"# {line}" for line in textwrap.wrap(sentence, 98))


def _toml(value: Any) -> str:
    """Return a value as TOML; a JSON string is a basic string of TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=True)
