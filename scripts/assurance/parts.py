"""The parts of the run, the longest first, since two of them run at a time."""

from __future__ import annotations

from scripts.assurance import roles
from scripts.assurance.line import AssurancePart

PARTS = (AssurancePart("roles", "every function called by every role", roles.measure),)
