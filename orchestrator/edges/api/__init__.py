"""The HTTP API: takes evidence and answers queries; the only package that uses FastAPI."""

from orchestrator.edges.api.app import create_app
from orchestrator.edges.api.parts import ApiParts

__all__ = ["ApiParts", "create_app"]
