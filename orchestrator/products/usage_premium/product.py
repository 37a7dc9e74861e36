"""Usage premium: one report of a period becomes one premium, or one reward."""

from orchestrator.products.index.leaf import IndexProduct

PRODUCT = IndexProduct("usage_premium", "UsagePremium")
