"""The auditor: what a bundle must hold, and a verifier that needs nothing but the bundle."""

from .assemble import Parts, assemble
from .bundle import VERSION
from .case import Anchors
from .verifier import Report, Stage, Step, verify

__all__ = [
    "VERSION",
    "Anchors",
    "Parts",
    "Report",
    "Stage",
    "Step",
    "assemble",
    "verify",
]
