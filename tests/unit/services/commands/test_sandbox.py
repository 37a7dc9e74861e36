"""`proofrail sandbox` is for development rails alone, and only after their set-up."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from services import configuration
from services.new_home import FreePorts, development_home, server_home
from tests.support.server_answers import ACCOUNT, ORACLE

COMMANDS = (
    ("record",),
    ("bank", "account", "shop-1"),
    ("bank", "accounts"),
    ("bank", "pay", "--from", "payer", "--amount", "1"),
    ("bank", "close-day"),
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (
            lambda home, ports: server_home(home, "http://n", [ORACLE], ACCOUNT, "", ports),
            "is for a rail of profile dev only",
        ),
        (lambda home, ports: development_home(home, ports=ports), "has none yet"),
    ],
)
def test_sandbox__server_profile_or_no_set_up__is_refused_and_nothing_is_done(
    tmp_path, command, plan, text
):
    values = plan(tmp_path, FreePorts(lambda port: True)).values
    (tmp_path / "proofrail.toml").write_text(configuration.render(values))
    result = CliRunner().invoke(app, ["sandbox", *command, "--home", str(tmp_path)])
    assert result.exit_code == 2 and "Nothing was done" in result.output
    assert text in " ".join(result.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["proofrail.toml"]
