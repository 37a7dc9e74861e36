"""Parametric cover: the median of listed stations over a reported season becomes one payment."""

from orchestrator.products.index.leaf import IndexProduct
from orchestrator.products.parametric_cover import stations

PRODUCT = IndexProduct(
    "parametric_cover",
    "ParametricCover",
    stations,
    ways=stations.WAYS,
    known=stations.METRICS,
    defaults=(("premium", stations.NO_PREMIUM),),
)
