"""What opendsm and numpy make of the year in tests/data/baseline_year.json, as JSON.

`python -m scripts.baseline_reference` prints it, `--write` also puts it into the file. opendsm has
an environment of its own (.venv-opendsm), made at the first use.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.bootstrap import BIN, OPENDSM, ROOT

FILE = ROOT / "tests" / "data" / "baseline_year.json"
_DAYS = ' "days": ['  # where the part of the file begins that stays as it is


def main() -> int:
    """Print the results; make the environment and run in it where this Python is another."""
    if Path(sys.prefix).name != OPENDSM.name:
        bootstrap = [sys.executable, str(ROOT / "scripts" / "bootstrap.py"), "opendsm"]
        if subprocess.run(bootstrap, stdout=sys.stderr, check=False).returncode:
            return 1
        again = [str(OPENDSM / BIN.name / "python"), "-m", __spec__.name, *sys.argv[1:]]
        return subprocess.run(again, cwd=ROOT, check=False).returncode
    text = FILE.read_text()
    days = json.loads(text)["days"]
    results = {
        "source": (
            "A made-up year: mean temperature (hundredths of a degree Celsius) and watt-hours of "
            f"each day of 2025. opendsm {version('opendsm')}: DailyModel, what it predicts for each"
            " month (Wh) and its CV(RMSE); it finds the balance points itself. numpy "
            f"{version('numpy')}: lstsq of [1, heating, cooling], balance points 15.5 and 18 "
            "degrees. Written by `python -m scripts.baseline_reference --write`."
        ),
        "opendsm": of_opendsm(days),
        "numpy": of_numpy(days),
    }
    head = json.dumps(results, indent=1)
    print(head)
    if "--write" in sys.argv[1:]:
        FILE.write_text(head.removesuffix("\n}") + ",\n" + text[text.index(_DAYS) :])
    return 0


def of_opendsm(days: Sequence[tuple[int, int]]) -> dict:
    """Return what the daily model predicts for each month (Wh), and its CV(RMSE).

    opendsm takes degrees Fahrenheit; energy is given to it in kWh.
    """
    from opendsm.eemeter import DailyBaselineData, DailyModel
    from pandas import DataFrame, date_range

    columns = {
        "temperature": [temperature / 100 * 9 / 5 + 32 for temperature, _ in days],
        "observed": [energy / 1000 for _, energy in days],
    }
    index = date_range("2025-01-01", periods=len(days), freq="D", tz="UTC")
    data = DailyBaselineData(DataFrame(columns, index=index), is_electricity_data=True)
    model = DailyModel().fit(data, ignore_disqualification=True)
    predicted = model.predict(data, ignore_disqualification=True)["predicted"]
    months = predicted.groupby(predicted.index.month).sum()
    return {
        "months": [round(energy * 1000) for energy in months],
        "cvrmse": f"{model.baseline_metrics.cvrmse:.6f}",
    }


def of_numpy(days: Sequence[tuple[int, int]]) -> dict:
    """Return watt-hours of a day and of a hundredth of a degree day, and the fit's CV(RMSE)."""
    from numpy import array, column_stack, maximum, ones
    from numpy.linalg import lstsq

    temperature, energy = array(days, dtype=float).T
    heating, cooling = maximum(1550 - temperature, 0), maximum(temperature - 1800, 0)
    matrix = column_stack([ones(len(days)), heating, cooling])
    (base, by_cold, by_heat), *_ = lstsq(matrix, energy, rcond=None)
    errors = energy - matrix @ (base, by_cold, by_heat)
    cvrmse = (errors @ errors / (len(days) - 3)) ** 0.5 / energy.mean()
    return {
        "base": f"{base:.6f}",
        "heating": f"{by_cold:.9f}",
        "cooling": f"{by_heat:.9f}",
        "cvrmse": f"{cvrmse:.9f}",
    }


if __name__ == "__main__":
    sys.exit(main())
