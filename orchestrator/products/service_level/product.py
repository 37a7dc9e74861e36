"""Service level: the states that a machine signs in a period become one fee."""

from orchestrator.products.index.leaf import IndexProduct
from orchestrator.products.service_level import uptime

PRODUCT = IndexProduct(
    "service_level",
    "ServiceLevel",
    uptime,
    ways=uptime.WAYS,
    known=uptime.METRICS,
    defaults=(("replenish", uptime.NEVER),),
)
