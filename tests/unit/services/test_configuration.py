"""proofrail.toml: every setting, each with a comment; it reads back as it was meant."""

from __future__ import annotations

import tomllib

import pytest

from orchestrator.errors import Halt
from orchestrator.settings import CONFIGURATION, Settings, read_settings
from services.configuration import SECTIONS, render
from services.new_home import FreePorts, development_home, server_home
from tests.support.server_answers import ACCOUNT, ORACLE


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PROOFRAIL_{name.upper()}", raising=False)


def flat(content: dict) -> dict:
    """Every line of a file by the name of its setting."""
    settings = {name: value for name, value in content.items() if name not in SECTIONS}
    for section in SECTIONS:
        settings |= {f"{section}_{key}": value for key, value in content[section].items()}
    return settings


def test_render__every_setting__stands_there_with_a_comment_above_it():
    text = render({"safeguarding": ACCOUNT, "oracles": [ORACLE]})
    settings = flat(tomllib.loads(text))
    unset, section = set(), ""  # settings without a value
    for line in text.splitlines():
        if line.startswith("[") and line[1:-1] in SECTIONS:
            section = f"{line[1:-1]}_"
        if line.endswith("= (not set)"):
            unset.add(section + line.split()[1])
    names = set(Settings.model_fields) - {"home"}
    assert names - set(settings) <= unset and set(settings) - {"version"} <= names
    lines = text.splitlines()
    top = lines[: lines.index("[safeguarding]")]
    for number, line in enumerate(top):
        if " = " in line and not line.startswith("#"):
            assert top[number - 1].startswith("# "), line


def test_settings__every_one__has_a_description_that_the_file_can_show():
    plain = {name: field for name, field in Settings.model_fields.items() if name != "home"}
    plain = {
        name: field for name, field in plain.items() if name not in ("oracles", "safeguarding")
    }
    assert (
        len(plain) > 15 and [name for name, field in plain.items() if not field.description] == []
    )


def test_render__defaults__are_those_of_the_program(tmp_path):
    (tmp_path / CONFIGURATION).write_text(render({}))
    assert read_settings(tmp_path) == Settings(home=tmp_path).model_copy()
    (tmp_path / "none").mkdir()
    expected = Settings(home=tmp_path / "none").model_dump(exclude={"home"})
    assert read_settings(tmp_path).model_dump(exclude={"home"}) == expected


@pytest.mark.parametrize(
    "plan",
    [
        lambda home, ports: development_home(home, ports=ports),
        lambda home, ports: server_home(
            home, "http://node.example:8545", [ORACLE], ACCOUNT, "sftp://me@bank.example/out", ports
        ),
    ],
)
def test_render__both_profiles__read_back_as_they_were_meant(tmp_path, plan):
    values = plan(tmp_path, FreePorts(lambda port: True)).values
    (tmp_path / CONFIGURATION).write_text(render(values))
    read = read_settings(tmp_path)
    expected = Settings(home=tmp_path / "none", **values)
    assert read.model_dump(exclude={"home"}) == expected.model_dump(exclude={"home"})


def test_render__a_name_that_is_no_setting__is_refused_when_it_is_read(tmp_path):
    (tmp_path / CONFIGURATION).write_text(render({}).replace("batch_claims", "batch_claim"))
    with pytest.raises(Halt, match="batch_claim"):
        read_settings(tmp_path)
