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
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import ACCOUNT, CENT, DAY, EURO, NONE

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


def signed(contracts, primary, values, contract=None, chain_id=31337):
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
            "verifyingContract": (contract or contracts.token).address,
        },
        "message": dict(zip(KINDS[primary], values, strict=True)),
    }
    made = Account.sign_typed_data(contracts.payer.private_key, full_message=document)
    return made.v, made.r.to_bytes(32, "big"), made.s.to_bytes(32, "big")


def test_mint__one_credit__mints_once(contracts):
    contracts.token.mint(b"\1" * 32, contracts.payer, EURO, sender=contracts.minter)
    assert contracts.token.balanceOf(contracts.payer) == EURO and contracts.token.creditUsed(
        b"\1" * 32
    )
    twice = contracts.refusal(
        contracts.token.mint, b"\1" * 32, contracts.payer, EURO, sender=contracts.minter
    )
    escrow = contracts.refusal(
        contracts.token.mintToEscrow,
        b"\1" * 32,
        contracts.rail,
        contracts.agreement,
        EURO,
        sender=contracts.minter,
    )
    assert twice == escrow == "CreditUsed"
    none = contracts.refusal(
        contracts.token.mint, NONE, contracts.payer, EURO, sender=contracts.minter
    )
    assert none == "CreditMissing"


def test_token__facts__are_those_of_the_design(contracts):
    assert (contracts.token.symbol(), contracts.token.decimals()) == ("tEUR", 6)


def test_redeem__whole_cents__burns_and_orders(contracts):
    """On 0.3.0 an order's id repeated on a second chain with the same token address."""
    contracts.mint(2 * EURO)
    receipts = [
        contracts.token.redeem(contracts.payee, ACCOUNT, EURO, sender=contracts.payer)
        for _ in range(2)
    ]
    orders = [
        next(log for log in receipt.events if log.event_name == "Redeemed") for receipt in receipts
    ]
    token = contracts.token.address
    expected = [
        bytes(Web3.keccak(encode(["uint256", "address", "uint256"], [CHAIN_ID, token, number])))
        for number in (1, 2)
    ]
    assert [bytes(order.order) for order in orders] == expected
    assert [(o.holder, o.beneficiary, o.cents) for o in orders] == [
        (contracts.payer, contracts.payee, 100)
    ] * 2
    assert contracts.token.balanceOf(contracts.payer) == 0 and contracts.token.redemptions() == 2


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
def test_redeem__bad_amount_or_account__reverts(contracts, account, amount, error):
    contracts.mint(EURO)
    refusal = contracts.refusal(
        contracts.token.redeem, contracts.payee, account, amount, sender=contracts.payer
    )
    assert refusal == error


def test_transfer_with_authorization__good__moves_once(contracts):
    contracts.mint(EURO)
    values = [
        contracts.payer.address,
        contracts.payee.address,
        EURO // 2,
        0,
        contracts.now + DAY,
        b"\1" * 32,
    ]
    proof = signed(contracts, "TransferWithAuthorization", values)
    contracts.token.transferWithAuthorization(*values, *proof, sender=contracts.stranger)
    assert contracts.token.balanceOf(contracts.payee) == EURO // 2
    again = contracts.refusal(
        contracts.token.transferWithAuthorization, *values, *proof, sender=contracts.stranger
    )
    assert again == "ERC3009UsedAuthorization"


def test_transfer_with_authorization__other_context_time_or_value__reverts(contracts):
    contracts.mint(EURO)
    method, now = contracts.token.transferWithAuthorization, contracts.now

    def refusal(values, proof):
        return contracts.refusal(method, *values, *proof, sender=contracts.stranger)

    def values(after=0, before=now + DAY):
        return [contracts.payer.address, contracts.payee.address, EURO, after, before, b"\1" * 32]

    name = "TransferWithAuthorization"
    assert refusal(values(), signed(contracts, name, values())) == ""
    other = contracts.deploy("EuroToken", contracts.access)
    invalid = "ERC3009InvalidSignature"
    assert refusal(values(), signed(contracts, name, values(), chain_id=1)) == invalid
    assert refusal(values(), signed(contracts, name, values(), contract=other)) == invalid
    assert refusal(values(), signed(contracts, "ReceiveWithAuthorization", values())) == invalid
    assert refusal([*values()[:2], 1, *values()[3:]], signed(contracts, name, values())) == invalid
    late, early = values(before=now), values(after=now + DAY)
    for out_of_time in (late, early):
        proof = signed(contracts, name, out_of_time)
        assert refusal(out_of_time, proof) == "ERC3009InvalidAuthorizationTime"


def test_receive_with_authorization__only_the_payee_may_hand_it_in(contracts):
    contracts.mint(EURO)
    values = [
        contracts.payer.address,
        contracts.payee.address,
        EURO,
        0,
        contracts.now + DAY,
        b"\1" * 32,
    ]
    proof = signed(contracts, "ReceiveWithAuthorization", values)
    method = contracts.token.receiveWithAuthorization
    thief = contracts.refusal(method, *values, *proof, sender=contracts.stranger)
    assert thief == "ERC20InvalidReceiver"
    method(*values, *proof, sender=contracts.payee)
    assert contracts.token.balanceOf(contracts.payee) == EURO


def test_cancel_authorization__then_using_it__reverts(contracts):
    contracts.mint(EURO)
    nonce = b"\1" * 32
    proof = signed(contracts, "CancelAuthorization", [contracts.payer.address, nonce])
    contracts.token.cancelAuthorization(contracts.payer, nonce, *proof, sender=contracts.stranger)
    values = [contracts.payer.address, contracts.payee.address, EURO, 0, contracts.now + DAY, nonce]
    use = signed(contracts, "TransferWithAuthorization", values)
    refusal = contracts.refusal(
        contracts.token.transferWithAuthorization, *values, *use, sender=contracts.stranger
    )
    assert refusal == "ERC3009UsedAuthorization"


def test_permit__then_fund__needs_no_standing_approval(contracts):
    contracts.mint(EURO)
    rail, payer = contracts.rail.address, contracts.payer.address
    values = [payer, rail, EURO, 0, contracts.now + DAY]
    proof = signed(contracts, "Permit", values)
    contracts.token.permit(payer, rail, EURO, values[4], *proof, sender=contracts.stranger)
    contracts.rail.fund(contracts.agreement, EURO, sender=contracts.payer)
    assert contracts.token.allowance(payer, rail) == 0
    contracts.assert_conserved()
