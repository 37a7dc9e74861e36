"""Let assertions in shared helpers explain themselves as those in tests do."""

import pytest

pytest.register_assert_rewrite("tests.support")
