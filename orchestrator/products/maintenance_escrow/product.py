"""Maintenance escrow: an order, and an asset's readings around it, become one payment."""

from orchestrator.products.index.leaf import IndexProduct
from orchestrator.products.maintenance_escrow import repair

PRODUCT = IndexProduct(
    "maintenance_escrow",
    "MaintenanceEscrow",
    repair,
    ways=repair.WAYS,
    known=repair.METRICS,
    DISINTERESTED=True,
)
