"""The audit bundle: its content, and a verifier that needs only the bundle."""

from .assemble import Parts, assemble
from .bundle import VERSION
from .case import Anchors
from .verifier import AuditReport, AuditStage, AuditStep, verify

__all__ = [
    "VERSION",
    "Anchors",
    "AuditReport",
    "AuditStage",
    "AuditStep",
    "Parts",
    "assemble",
    "verify",
]
