"""Pay-as-you-go unlock: an order of days becomes a payment, and the payment becomes a token."""

from orchestrator.products.index.leaf import IndexProduct
from orchestrator.products.payg_unlock import days

PRODUCT = IndexProduct("payg_unlock", "PaygUnlock", days, known=days.METRICS)
