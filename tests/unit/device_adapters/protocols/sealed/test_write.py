"""Writing an envelope without the extra names what is missing."""

from __future__ import annotations

import sys

import pytest

from device_adapters.protocols.sealed.write import ExtraMissing
from tests.support.signing_gateway import SigningGateway


@pytest.mark.parametrize(("form", "package"), [("COSE", "cwt"), ("JWS", "joserfc")])
def test_write__without_the_extra__names_the_package_and_the_extra(
    form: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = SigningGateway()
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraMissing, match=rf"{package}.*proofrail-orchestrator\[device\]"):
        signer.seal("M-1", 1, b"[]", form=form)
