"""Named accounts at the simulated bank: each name has one IBAN for ever."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import Halt
from orchestrator.settings import Settings
from services.sandbox.parties import PAYEE, PAYER, bank_accounts, name_account
from services.simulated_bank.orders import valid_iban


def test_name_account__each_name__has_its_own_iban_and_keeps_it(tmp_path):
    settings = Settings(home=tmp_path)
    assert bank_accounts(settings) == {"payer": PAYER.iban, "payee": PAYEE.iban}
    shop, cafe = name_account(settings, "shop-1"), name_account(settings, "cafe")
    named = bank_accounts(settings)
    assert named == {"payer": PAYER.iban, "payee": PAYEE.iban, "shop-1": shop, "cafe": cafe}
    assert len(set(named.values())) == 4 and all(map(valid_iban, named.values()))
    assert name_account(settings, "shop-1") == shop


@pytest.mark.parametrize("name", ["", "Shop", "-x", "a b", "x" * 41])
def test_name_account__a_name_that_cannot_be_typed__is_refused(tmp_path, name):
    with pytest.raises(Halt, match="cannot name a bank account"):
        name_account(Settings(home=tmp_path), name)
    assert not (tmp_path / "sandbox").exists()


def test_bank_accounts__a_file_of_another_version__is_refused(tmp_path):
    settings = Settings(home=tmp_path)
    name_account(settings, "shop-1")
    file = tmp_path / "sandbox" / "accounts.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 2}))
    with pytest.raises(Halt, match="has version 2"):
        bank_accounts(settings)
