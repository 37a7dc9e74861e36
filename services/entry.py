"""The commands of single processes; a missing extra is one sentence, not a traceback."""

from __future__ import annotations

import sys

from orchestrator.extras import extra_needed


def oracle() -> int:
    """Run `proofrail-oracle`; return its exit code, or 2 where the extra [oracle] is missing."""
    try:
        from services.oracle_home import main

        return main()
    except ModuleNotFoundError as error:
        sentence = extra_needed(error, "oracle")
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        return 2
