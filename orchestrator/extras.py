"""What a command says where the extra of the package that it needs is not installed."""

from __future__ import annotations

DISTRIBUTION = "proofrail-orchestrator"  # the name on PyPI; `proofrail` there is another project
_OWN_PACKAGES = ("device_adapters", "oracles", "orchestrator", "services")


def extra_needed(error: BaseException, extra: str) -> str | None:
    """Return the error text for a missing extra, or None where the error is something else.

    Args:
        error: What the command raised.
        extra: The extra with everything that the command may import.
    """
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    if error.name.split(".")[0] in _OWN_PACKAGES:
        return None
    return (
        f"This command needs the extra [{extra}]: the module {error.name} is not installed. "
        f"Nothing was done. Run: pip install '{DISTRIBUTION}[{extra}]'"
    )
