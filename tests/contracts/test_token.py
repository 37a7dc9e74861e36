"""tEUR: minted once per bank credit, redeemed in whole cents, permits and authorisations.

mint, mintToEscrow: only the minter; each credit once
redeem: whole cents of the caller's own, with an account; each order has an id of its own
permit, transferWithAuthorization, receiveWithAuthorization, cancelAuthorization: once, in time,
for this token on this chain
"""

from __future__ import annotations

import pytest
from eth_abi import encode
from web3 import Web3

from orchestrator.edges.chain.ethereum import Account
from tests.support.contracts.stage import ACCOUNT, CENT, DAY, EURO, NONE

KINDS = {
    "TransferWithAuthorization": ["from", "to", "value", "validAfter", "validBefore", "nonce"],
    "ReceiveWithAuthorization": ["from", "to", "value", "validAfter", "validBefore", "nonce"],
    "CancelAuthorization": ["authorizer", "nonce"],
    "Permit": ["owner", "spender", "value", "nonce", "deadline"],
}


def kind_of(field: str, primary: str) -> str:
    if field in ("from", "to", "authorizer", "owner", "spender"):
        return "address"
    return "bytes32" if field == "nonce" and primary != "Permit" else "uint256"


def signed(stage, primary, values, contract=None, chain_id=31337):
    """(v, r, s) of the payer over a typed message for `contract` (the token) on `chain_id`."""
    fields = [{"name": name, "type": kind_of(name, primary)} for name in KINDS[primary]]
    names = [
        ("name", "string"),
        ("version", "string"),
        ("chainId", "uint256"),
        ("verifyingContract", "address"),
    ]
    document = {
        "types": {"EIP712Domain": [{"name": n, "type": t} for n, t in names], primary: fields},
        "primaryType": primary,
        "domain": {
            "name": "tEUR",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": (contract or stage.token).address,
        },
        "message": dict(zip(KINDS[primary], values, strict=True)),
    }
    made = Account.sign_typed_data(stage.payer.private_key, full_message=document)
    return made.v, made.r.to_bytes(32, "big"), made.s.to_bytes(32, "big")


def test_mint__one_credit__mints_once(stage):
    stage.token.mint(b"\1" * 32, stage.payer, EURO, sender=stage.minter)
    assert stage.token.balanceOf(stage.payer) == EURO and stage.token.creditUsed(b"\1" * 32)
    twice = stage.refusal(stage.token.mint, b"\1" * 32, stage.payer, EURO, sender=stage.minter)
    escrow = stage.refusal(
        stage.token.mintToEscrow,
        b"\1" * 32,
        stage.rail,
        stage.agreement,
        EURO,
        sender=stage.minter,
    )
    assert twice == escrow == "CreditUsed"
    none = stage.refusal(stage.token.mint, NONE, stage.payer, EURO, sender=stage.minter)
    assert none == "CreditMissing"


def test_token__facts__are_those_of_the_design(stage):
    assert (stage.token.symbol(), stage.token.decimals()) == ("tEUR", 6)


def test_redeem__whole_cents__burns_and_orders(stage):
    stage.mint(2 * EURO)
    receipts = [
        stage.token.redeem(stage.payee, ACCOUNT, EURO, sender=stage.payer) for _ in range(2)
    ]
    orders = [next(log for log in one.events if log.event_name == "Redeemed") for one in receipts]
    expected = [
        bytes(Web3.keccak(encode(["address", "uint256"], [stage.token.address, number])))
        for number in (1, 2)
    ]
    assert [bytes(order.order) for order in orders] == expected
    assert [(o.holder, o.beneficiary, o.cents) for o in orders] == [
        (stage.payer, stage.payee, 100)
    ] * 2
    assert stage.token.balanceOf(stage.payer) == 0 and stage.token.redemptions() == 2


@pytest.mark.parametrize(
    ("account", "amount", "error"),
    [
        (ACCOUNT, CENT - 1, "NotWholeCents"),
        (ACCOUNT, CENT + 1, "NotWholeCents"),
        (ACCOUNT, 0, "NotWholeCents"),
        (NONE, CENT, "AccountMissing"),
        (ACCOUNT, 2 * EURO, "ERC20InsufficientBalance"),
    ],
)
def test_redeem__bad_amount_or_account__reverts(stage, account, amount, error):
    stage.mint(EURO)
    found = stage.refusal(stage.token.redeem, stage.payee, account, amount, sender=stage.payer)
    assert found == error


def test_transfer_with_authorization__good__moves_once(stage):
    stage.mint(EURO)
    values = [stage.payer.address, stage.payee.address, EURO // 2, 0, stage.now + DAY, b"\1" * 32]
    proof = signed(stage, "TransferWithAuthorization", values)
    stage.token.transferWithAuthorization(*values, *proof, sender=stage.stranger)
    assert stage.token.balanceOf(stage.payee) == EURO // 2
    again = stage.refusal(
        stage.token.transferWithAuthorization, *values, *proof, sender=stage.stranger
    )
    assert again == "ERC3009UsedAuthorization"


def test_transfer_with_authorization__other_context_time_or_value__reverts(stage):
    stage.mint(EURO)
    method, now = stage.token.transferWithAuthorization, stage.now

    def found(values, proof):
        return stage.refusal(method, *values, *proof, sender=stage.stranger)

    def values(after=0, before=now + DAY):
        return [stage.payer.address, stage.payee.address, EURO, after, before, b"\1" * 32]

    name = "TransferWithAuthorization"
    assert found(values(), signed(stage, name, values())) == ""
    other = stage.deploy("EuroToken", stage.minter)
    invalid = "ERC3009InvalidSignature"
    assert found(values(), signed(stage, name, values(), chain_id=1)) == invalid
    assert found(values(), signed(stage, name, values(), contract=other)) == invalid
    assert found(values(), signed(stage, "ReceiveWithAuthorization", values())) == invalid
    assert found([*values()[:2], 1, *values()[3:]], signed(stage, name, values())) == invalid
    late, early = values(before=now), values(after=now + DAY)
    for out_of_time in (late, early):
        proof = signed(stage, name, out_of_time)
        assert found(out_of_time, proof) == "ERC3009InvalidAuthorizationTime"


def test_receive_with_authorization__only_the_payee_may_hand_it_in(stage):
    stage.mint(EURO)
    values = [stage.payer.address, stage.payee.address, EURO, 0, stage.now + DAY, b"\1" * 32]
    proof = signed(stage, "ReceiveWithAuthorization", values)
    method = stage.token.receiveWithAuthorization
    thief = stage.refusal(method, *values, *proof, sender=stage.stranger)
    assert thief == "ERC20InvalidReceiver"
    method(*values, *proof, sender=stage.payee)
    assert stage.token.balanceOf(stage.payee) == EURO


def test_cancel_authorization__then_using_it__reverts(stage):
    stage.mint(EURO)
    nonce = b"\1" * 32
    proof = signed(stage, "CancelAuthorization", [stage.payer.address, nonce])
    stage.token.cancelAuthorization(stage.payer, nonce, *proof, sender=stage.stranger)
    values = [stage.payer.address, stage.payee.address, EURO, 0, stage.now + DAY, nonce]
    use = signed(stage, "TransferWithAuthorization", values)
    found = stage.refusal(
        stage.token.transferWithAuthorization, *values, *use, sender=stage.stranger
    )
    assert found == "ERC3009UsedAuthorization"


def test_permit__then_fund__needs_no_standing_approval(stage):
    stage.mint(EURO)
    rail, payer = stage.rail.address, stage.payer.address
    values = [payer, rail, EURO, 0, stage.now + DAY]
    proof = signed(stage, "Permit", values)
    stage.token.permit(payer, rail, EURO, values[4], *proof, sender=stage.stranger)
    stage.rail.fund(stage.agreement, EURO, sender=stage.payer)
    assert stage.token.allowance(payer, rail) == 0
    stage.assert_conserved()
