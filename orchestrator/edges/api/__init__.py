"""The HTTP door: evidence in, answers out; the only place that knows FastAPI."""

from orchestrator.edges.api.app import create_app
from orchestrator.edges.api.parts import ApiParts

__all__ = ["ApiParts", "create_app"]
