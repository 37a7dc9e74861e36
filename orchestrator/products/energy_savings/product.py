"""Energy savings: a month of a meter and of a thermometer becomes one payment."""

from orchestrator.products.energy_savings import weather
from orchestrator.products.index.leaf import IndexProduct

PRODUCT = IndexProduct(
    "energy_savings", "EnergySavings", weather, ways=weather.WAYS, known=weather.METRICS
)
