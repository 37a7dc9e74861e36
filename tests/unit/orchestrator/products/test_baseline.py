"""Energy savings: the baseline of a year, held against opendsm and numpy, and what gives none.

`tests/data/baseline_year.json` has a year and what both libraries made of it: opendsm brings 1 GB
of packages, which `python -m scripts.baseline_reference` and one test of `make test-long` install.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from statistics import linear_regression

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner

from device_adapters.protocols.sealed.write import SealClaims, content_claims, write_cose
from device_adapters.types import Rejected
from orchestrator import cli
from orchestrator.products.energy_savings.baseline import FitReason, fit, value_of
from orchestrator.products.energy_savings.weather import (
    ENERGY,
    HEATING,
    METRICS,
    parse_ways,
    period_of,
)
from orchestrator.products.index.periods import Period
from orchestrator.products.index.sensed import SensedValue

TESTS = Path(__file__).parents[3]
YEAR = json.loads((TESTS / "data" / "baseline_year.json").read_text())
DAY, START = 86_400, int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
LIBRARY = {name: Fraction(value) for name, value in YEAR["numpy"].items()}
TERMS = ("about=site:9", "meter=m-9", "station=st-9", "heat_below=15.5", "cool_above=18")


def _period(day: int, temperature: int, energy: int) -> Period:
    """Return a day; the temperature in hundredths of a degree."""
    values = max(1_550 - temperature, 0), max(temperature - 1_800, 0), energy
    begin = START + day * DAY
    return Period(begin, begin + DAY, 10_000, 2, dict(zip(METRICS, values, strict=True)))


def _days() -> list[Period]:
    return [_period(day, *values) for day, values in enumerate(YEAR["days"])]


def _months(days: Iterable[Period]) -> list[Period]:
    months: dict[int, list[Period]] = {}
    for day in days:
        months.setdefault(datetime.fromtimestamp(day.begin, UTC).month, []).append(day)
    return [
        Period(
            month[0].begin,
            month[-1].end,
            10_000,
            2,
            {name: sum(day.metrics[name] for day in month) for name in METRICS},
        )
        for month in months.values()
    ]


def _assert_fits_as(libraries: dict[str, dict]) -> None:
    """Compare our baseline of the year with what numpy and opendsm make of it."""
    baseline, numpy, opendsm = fit(_days()), libraries["numpy"], libraries["opendsm"]
    for name in ("base", "heating", "cooling"):
        assert _differ(getattr(baseline, name), numpy[name]) < Fraction(1, 10**6), name
    assert baseline.cv == 279 == -(-Fraction(numpy["cvrmse"]) * 10_000 // 1)
    assert abs(baseline.cv - Fraction(opendsm["cvrmse"]) * 10_000) < 10
    expected = [value_of(baseline, month) for month in _months(_days())]
    for ours, theirs in zip(expected, opendsm["months"], strict=True):
        assert _differ(ours, theirs) < Fraction(2, 100)  # it moves the balance points itself
    assert _differ(sum(expected), sum(opendsm["months"])) < Fraction(1, 1000)


def _differ(ours: Fraction | str | int, theirs: Fraction | str | int) -> Fraction:
    return abs(Fraction(ours) / Fraction(theirs) - 1)


def test_days__of_a_year__are_fitted_as_numpy_and_opendsm_fit_them():
    _assert_fits_as(YEAR)


@pytest.mark.extended  # it installs 1 GB, and opendsm takes half a minute
def test_file_of_the_year__is_what_numpy_and_opendsm_give_now():
    command = [sys.executable, "-m", "scripts.baseline_reference"]
    done = subprocess.run(command, cwd=TESTS.parent, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    now = json.loads(done.stdout)
    for name, value in now["numpy"].items():
        assert _differ(YEAR["numpy"][name], value) < Fraction(1, 10**8), name
    assert _differ(YEAR["opendsm"]["cvrmse"], now["opendsm"]["cvrmse"]) < Fraction(1, 10**4)
    for written, given in zip(YEAR["opendsm"]["months"], now["opendsm"]["months"], strict=True):
        assert _differ(written, given) < Fraction(1, 10**4)
    _assert_fits_as(now)


def test_months__of_a_year__weigh_by_their_days_and_agree_with_the_days():
    of_months, of_days = fit(_months(_days())), fit(_days())
    for month in _months(_days()):
        assert abs(value_of(of_months, month) / value_of(of_days, month) - 1) < Fraction(2, 100)


def test_heating_alone__is_fitted_as_the_standard_library_fits_it():
    days = [_period(n, temperature, energy) for n, (temperature, energy) in enumerate(_cold())]
    baseline = fit(days)
    heat, used = ([day.metrics[name] for day in days] for name in (HEATING, ENERGY))
    slope, base = linear_regression(heat, used)
    assert (float(baseline.heating), float(baseline.base)) == pytest.approx((slope, base))
    assert baseline.cooling == 0


def _cold() -> list[tuple[int, int]]:
    return [(temperature, energy) for temperature, energy in YEAR["days"] if temperature < 1_800]


def _noise(days: list[Period]) -> list[Period]:
    return [
        day._replace(metrics=day.metrics | {ENERGY: day.metrics[ENERGY] * (1 + 3 * (n % 2))})
        for n, day in enumerate(days)
    ]


@pytest.mark.parametrize(
    "periods, reason",
    [
        (_days()[:251], FitReason.PERIODS_FEW),
        ([_period(n, 500, 0) for n in range(365)], FitReason.ENERGY_NONE),
        (
            [_period(n, (1_000, 2_350)[n % 2], 20_000 + n % 7) for n in range(365)],
            FitReason.WEATHER_FLAT,
        ),
        (
            [_period(n, n % 5 * 100, 1_400 - n % 5 * 100) for n in range(365)],
            FitReason.BASE_NEGATIVE,
        ),
        (_noise(_days()), FitReason.FIT_POOR),
    ],
    ids=lambda value: str(value) if isinstance(value, FitReason) else "",
)
def test_fit__of_what_gives_no_baseline__is_refused_by_name(periods, reason):
    with pytest.raises(Rejected) as refusal:
        fit(periods)
    assert refusal.value.reason is reason


def test_fit__that_keeps_no_limit_of_the_guideline__warns_of_each():
    uneven = [
        day._replace(metrics=day.metrics | {ENERGY: day.metrics[ENERGY] * (5 + 3 * (n % 2))})
        for n, day in enumerate(_days()[:300])
    ]
    first, second, third, fourth = fit(uneven).warnings(Fraction(1, 20_000))
    assert "above 20%" in first and "above 25%" in second
    assert "biased by 0.005%" in third and "300 days" in fourth
    assert fit(_days()).warnings(Fraction(0)) == []


def test_site_that_uses_less_in_the_cold__has_no_slope_for_it():
    days = [_period(n, n % 9 * 100, 9_000 + n % 9 * 100) for n in range(365)]
    assert (fit(days).heating, fit(days).cooling) == (0, 0)


def test_temperature__at_the_end_of_a_period__is_of_the_next_one():
    ways = parse_ways(dict(term.split("=") for term in TERMS))
    values = [SensedValue(at, Decimal(5)) for at in (START, START + DAY)]
    registers = [(START * 1000, 0), ((START + DAY) * 1000, 7_000_000)]
    period = period_of(ways, START, START + DAY, registers, values)
    assert period.metrics == {"heating": 1_050, "cooling": 0, "energy": 7_000}


class Site:
    """A meter and a station with keys, and files of what they signed in the year."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        registers, temperatures, total = [], [], 0
        for day, (temperature, energy) in enumerate(YEAR["days"]):
            at = START + day * DAY
            registers.append({"n": "1-0:1.8.0", "u": "Wh", "v": total, "t": at})
            value = Decimal(temperature) / 100
            temperatures.append(
                {"n": "temperature", "u": "Cel", "v": str(value), "t": at + DAY // 2}
            )
            total += energy
        registers.append({"n": "1-0:1.8.0", "u": "Wh", "v": total, "t": START + 365 * DAY})
        self.seal("m-9", registers, 31)
        self.seal("st-9", temperatures, 1)

    def seal(self, name: str, readings: list[dict], together: int) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / f"{name}.pem").write_bytes(public)
        records = []
        for counter, at in enumerate(range(0, len(readings), together), 1):
            pack = json.dumps([{"bn": f"{name}/"}, *readings[at : at + together]])
            pack = re.sub(r'"v": "([^"]+)"', r'"v": \1', pack)  # numbers without floats
            claims = SealClaims(name, name, counter, readings[at]["t"])
            records.append(write_cose(claims, content_claims("senml", pack.encode()), private))
        (self.folder / f"{name}.cose").write_bytes(b"".join(records))

    def run(self, *more: str, meter: str = "m-9"):
        options = []
        for option, name in (("meter", meter), ("station", "st-9")):
            options += [f"--{option}-records", str(self.folder / f"{name}.cose")]
            options += [f"--{option}-key", str(self.folder / f"{name}.pem")]
        words = [word for term in TERMS for word in ("--term", term)]
        command = ["agreement", "baseline", *options, "--price", "0.112", *words, *more]
        return CliRunner().invoke(cli.app, command)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def test_signed_files__become_terms_that_pay_nothing_for_the_past(site):
    done = site.run("--daily", "--json")
    assert done.exit_code == 0, done.output
    view = json.loads(done.stdout)
    assert (view["periods"], view["left_out"], view["warnings"]) == (365, 0, [])
    assert view["wh_per_day"] == "13947.973" and view["cv_rmse_percent"] == "2.79"
    assert abs(Decimal(view["bias_percent"])) < Decimal("0.005")
    words = [word for item in view["terms"].items() for word in ("--term", "=".join(item))]
    past = [0, 0, round(30 * LIBRARY["base"])]
    held = [
        word
        for name, value in zip(METRICS, past, strict=True)
        for word in ("--metric", f"{name}={value}")
    ]
    shown = CliRunner().invoke(
        cli.app, ["agreement", "preview", "energy_savings", *words, *held, "--json"]
    )
    assert shown.exit_code == 0, shown.output
    assert int(json.loads(shown.stdout)["amount"]["amount"]) <= 200  # a rounded watt-hour


def test_signed_files__of_a_year__are_twelve_months(site):
    done = site.run()
    assert done.exit_code == 0, done.output
    assert "12 of 365 days" in done.stdout
    assert '--term "metrics=heating 0..120000; cooling 0..120000; energy 0..' in done.stdout


def test_file_that_its_key_did_not_sign__is_refused(site):
    forged = (site.folder / "m-9.cose").read_bytes()
    (site.folder / "st-9.copy").write_bytes(forged)
    done = site.run("--station-records", str(site.folder / "m-9.cose"))
    assert done.exit_code == 2 and "proves nothing: signature_forged" in done.output


def test_file_of_another_device__is_refused(site):
    done = site.run(meter="st-9")
    assert done.exit_code == 2 and "has records of st-9, not only of m-9" in done.output
