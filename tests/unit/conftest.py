"""Have the unit tests make stores and keystores quickly."""

from __future__ import annotations

from tests.support.quick_keys import use_quick_keys
from tests.support.quick_store import use_quick_stores

use_quick_stores()
use_quick_keys()
