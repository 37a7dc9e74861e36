"""The wheel in an empty environment outside the checkout: each extra is enough for its commands."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from zipfile import ZipFile

import pytest

from device_adapters.protocols.ocmf.examples import BEGIN, PUBLIC_KEY
from services import anvil
from tests.support.wheel import ROOT, Installed

RELEASED = ROOT / "tests/data/released/0.3.0"
BUNDLES = ("bundle_metered_energy", "bundle_proof_of_delivery")
# what an auditor installs: well under half of the 107 distributions that 0.3.0 needed for it
MOST_IN_BASE = 46
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def base(built, tmp_path_factory) -> Installed:
    """Return an environment with the wheel and no extra."""
    installed = Installed(tmp_path_factory.mktemp("base"), built)
    assert installed.install() <= MOST_IN_BASE
    return installed


@pytest.fixture(scope="module")
def extras(built, tmp_path_factory) -> Installed:
    """An environment in which the tests install one extra after the other."""
    return Installed(tmp_path_factory.mktemp("extras"), built)


def test_wheel__its_files__are_the_packages_their_data_and_nothing_of_the_checkout(built):
    names = set(ZipFile(built).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    (data,) = [top for top in tops if top.endswith(".data")]
    assert tops - {data} == {"device_adapters", "oracles", "orchestrator", "services"}
    share = f"{data}/data/share"
    assert {f"{share}/man/man1/proofrail.1", f"{share}/proofrail/systemd/proofrail.service"} < names
    sources = [path.relative_to(ROOT).as_posix() for path in (ROOT / "contracts").rglob("*.sol")]
    assert sources and {f"{share}/proofrail/{path}" for path in sources} < names


def test_base__its_distributions__hold_no_chain_database_or_server(base):
    for module in ("web3", "sqlalchemy", "fastapi", "paho"):
        assert base.run("python", "-c", f"import {module}").returncode == 1


@pytest.mark.parametrize("bundle", BUNDLES)
def test_base__a_released_bundle__is_verified(base, bundle):
    file = base.folder / "bundle.json"
    file.write_bytes(gzip.decompress((RELEASED / f"{bundle}.json.gz").read_bytes()))
    done = base.run("proofrail", "audit", "verify", file)
    assert done.returncode == 0 and "Every step is valid" in done.stdout, done.stdout + done.stderr


def test_base__a_meters_record__is_checked(base):
    (base.folder / "record").write_bytes(BEGIN)
    done = base.run("proofrail", "evidence", "check", "record", "--key", PUBLIC_KEY)
    assert "1 genuine" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1 and "end_missing" in done.stdout  # the begin of a session alone


@pytest.mark.parametrize(
    "command, extra",
    [(("proofrail", "status"), "rail"), (("proofrail-oracle",), "oracle")],
)
def test_base__command_of_an_extra__names_it_and_what_to_run(base, command, extra):
    done = base.run(*command)
    assert done.returncode == 2 and done.stdout == ""
    assert f"pip install 'proofrail-orchestrator[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_device__its_extra__imports_every_simulated_device(extras):
    extras.install("device")
    done = extras.run("python", "-c", IMPORT_ALL, "services.simulated_devices")
    assert done.returncode == 0, done.stderr


def test_oracle__its_extra__imports_the_whole_process(extras):
    extras.install("oracle")
    done = extras.run("proofrail-oracle", "--help")
    assert done.returncode == 0 and "init" in done.stdout, done.stderr
    done = extras.run("python", "-c", IMPORT_ALL, "oracles")
    assert done.returncode == 0, done.stderr
    done = extras.run("python", "-m", "services.oracle", "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage:"), done.stderr


def test_rail__its_extra__opens_a_store_and_looks_for_a_rail_in_its_own_folder(extras):
    extras.install("rail")
    code = (
        "from pathlib import Path; from orchestrator.edges.store import Store; "
        "Store(Path('database.sqlite3')).close()"
    )
    done = extras.run("python", "-c", code)  # runs the migrations
    assert done.returncode == 0, done.stderr
    done = extras.run("proofrail", "status")
    assert done.returncode == 2 and "There is no rail at .proofrail" in done.stderr


def test_init__no_anvil_on_the_machine__fetches_it_through_npm_once(extras):
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    asked = [npm, "view", f"@foundry-rs/anvil@{anvil.version()}", "version"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=600, check=False)
    if answer.returncode:
        pytest.skip(f"npm reaches no registry: {answer.stderr.strip()[-200:]}")
    extras.install("rail")
    cache = extras.folder / "cache"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment = {name: environment[name] for name in environment if name[:10] != "PROOFRAIL_"}
    environment.pop("PYTHONPATH", None)  # a checkout, whose anvil would be taken
    made = extras.run("proofrail", "init", "--profile", "dev", "--yes", environment=environment)
    assert made.returncode == 0, made.stderr
    (program,) = cache.glob(f"proofrail/anvil-{anvil.version()}/**/bin/anvil")
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert anvil.version() in shown.stdout
    assert [path.name for path in (cache / "proofrail").iterdir()] == [f"anvil-{anvil.version()}"]
