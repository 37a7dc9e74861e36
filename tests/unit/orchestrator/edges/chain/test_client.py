"""The chain client: its identity, the names of errors; a missing answer is no refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Call, Chain, _verdict
from orchestrator.errors import Halt, Retry
from services.testnet import Testnet
from tests.support.real_chain import FaultyNode, account_call, has_anvil, real_chain

# what nodes say to bytes handed in; "unknown": it may be this very transaction that they speak of
TEXTS = {
    "unknown": (
        "already known",
        "transaction already imported",
        "known transaction: 0xabc",
        "nonce too low",
        "nonce too low: next nonce 5, tx nonce 4",
        "Transaction already known",
        "ALREADY_EXISTS: already known",
    ),
    "refused": (
        "insufficient funds for gas * price + value",
        "intrinsic gas too low",
        "txpool is full",
        "replacement transaction underpriced",
        "max fee per gas less than block base fee",
        "nonce too high",
        "exceeds block gas limit",
        "invalid chain id for signer",
        "transaction underpriced",
        "internal error",
        "",
    ),
}

needs_anvil = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def chain():
    return real_chain()


@pytest.mark.parametrize("text", TEXTS["unknown"])
def test_verdict__text_that_may_mean_this_transaction__is_unknown(text):
    assert _verdict({"id": 0, "error": {"code": -32000, "message": text}}) == "unknown"


@pytest.mark.parametrize("text", TEXTS["refused"])
def test_verdict__any_other_text__is_kept_as_the_nodes_reason(text):
    assert _verdict({"id": 0, "error": {"code": -32000, "message": text}}) == text.lower()


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"result": "0xabc"}, "sent"),
        ({"result": "0xabc", "error": None}, "sent"),
        ({}, "unknown"),
        ({"result": None}, "unknown"),
        ({"error": "rate limited"}, "rate limited"),
    ],
)
def test_verdict__answers_of_odd_shape__are_never_taken_for_more_than_they_say(answer, verdict):
    assert _verdict({"id": 0} | answer) == verdict


@needs_anvil
def test_broadcast__bytes_that_are_pending_and_then_mined__are_unknown_to_a_real_node(chain):
    account = keystore.development_account(31)
    quote = chain.client.quote(account.address, account_call(1))
    _, raw = chain.client.sign(account, 0, quote)
    chain.testnet.rpc("evm_setAutomine", False)
    try:
        assert chain.client.broadcast([raw]) == ["sent"]
        assert chain.client.broadcast([raw]) == ["unknown"]
        chain.testnet.mine()
    finally:
        chain.testnet.rpc("evm_setAutomine", True)
    assert chain.client.broadcast([raw]) == ["unknown"]
    assert chain.client.nonce(account.address) == 1


@needs_anvil
def test_broadcast__one_bad_among_good__each_has_its_verdict(chain):
    account = keystore.development_account(32)
    quote = chain.client.quote(account.address, account_call(1))
    raws = [chain.client.sign(account, nonce, quote)[1] for nonce in (0, 1)]
    assert chain.client.broadcast([raws[0], "0x00", raws[1]])[0::2] == ["sent", "sent"]
    chain.testnet.mine()  # a batch is answered before it is mined
    assert chain.client.nonce(account.address) == 2


@needs_anvil
def test_quote__any_call__has_gas_for_two_slots_more_than_the_estimate(chain):
    """A device was revoked in the second after its enrolment, and ran out of gas.

    The estimate was made in the enrolment's second, whose entry in the history it wrote over.
    """
    sender = keystore.development_account(12).address
    quote = chain.client.quote(sender, account_call(1))
    request = {"from": sender, "to": quote.to, "data": quote.data}
    estimate = int(chain.client.rpc("eth_estimateGas", [request]), 16)
    assert quote.gas >= estimate * 5 // 4 + 2 * 22_100


@needs_anvil
def test_broadcast__silent_node__is_unknown_for_all(chain):
    assert chain.at("http://127.0.0.1:9").broadcast(["0x00", "0x01"]) == ["unknown", "unknown"]


@needs_anvil
def test_identity__the_chain_of_the_deployment__is_recognised(chain):
    chain.client.check_identity()


@needs_anvil
@pytest.mark.parametrize("change", [{"chain_id": 1}, {"genesis": "0x" + "00" * 32}])
def test_identity__another_chain_id_or_genesis__halts_before_anything_is_sent(chain, change):
    other = replace(chain.deployment, **change)
    with pytest.raises(Halt, match="is another chain"):
        Chain(chain.testnet.url, other, load_artifacts()).check_identity()


@needs_anvil
def test_identity__contracts_that_are_not_there__halt(chain):
    addresses = chain.deployment.addresses | {"PaymentRail": "0x" + "12" * 20}
    other = replace(chain.deployment, addresses=addresses)
    with pytest.raises(Halt, match="there is no code"):
        Chain(chain.testnet.url, other, load_artifacts()).check_identity()


@needs_anvil
def test_identity__another_real_node__halts(chain):
    other = Testnet(accounts=1, extra=("--timestamp", "1700000000"))
    with other, pytest.raises(Halt, match="is another chain"):
        chain.at(other.url).check_identity()


@needs_anvil
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Call("EuroToken", "mint", (b"\1" * 32, "0x" + "11" * 20, 5)), "NotInRole"),
        (Call("PaymentRail", "close", (b"\1" * 32,)), "UnknownAgreement"),
        (Call("PaymentRail", "release", ("0x" + "11" * 20, [])), "NothingDue"),
        (Call("DeviceRegistry", "suspend", (b"\1" * 32,)), "DeviceUnknown"),
        (Call("OracleCommittee", "seat", ("0x" + "11" * 20, 1)), "AccessManagedUnauthorized"),
    ],
)
def test_errors__of_any_contract__have_their_names(chain, call, name):
    with pytest.raises(Retry, match=f"{call.contract}.{call.function} would revert: {name}$"):
        chain.client.quote(keystore.development_account(33).address, call)


@needs_anvil
def test_view__that_reverts__is_named_too(chain):
    with pytest.raises(Retry, match="UnknownAgreement"):
        chain.client.view("PaymentRail", "agreementTerms", b"\1" * 32)


@needs_anvil
@pytest.mark.parametrize("kind", FaultyNode.KINDS)
def test_reading__from_a_node_that_fails_in_any_way__is_a_retry_or_right(chain, kind):
    """A strange answer must not look like a bug of ours: that would stop all that moves money."""
    node = FaultyNode(chain.testnet.url, share=100, seed=1)
    node.KINDS = (kind,)
    client, account = chain.at(node.url), keystore.development_account(34).address
    start = chain.deployment.block_number
    block, logs = chain.client.blocks([start]), chain.client.logs_between("PaymentRail", 0, 9)
    rail = chain.deployment.addresses["PaymentRail"]
    for ask, right in (
        (client.head, chain.client.head()),
        (lambda: client.blocks([start]), block),
        (lambda: client.nonce(account), 0),
        (lambda: client.logs_between("PaymentRail", 0, 9), logs),
        (lambda: client.quote(account, account_call(1)).to, rail),
        (lambda: client.receipts(["0x" + "00" * 32]), [None]),
    ):
        try:
            assert ask() == right
        except Retry:
            continue
    node.stop()


@needs_anvil
def test_blocks__one_that_is_not_there__is_a_retry(chain):
    with pytest.raises(Retry, match="vanished"):
        chain.client.blocks([0, chain.client.head() + 100])


@needs_anvil
def test_call_input__transaction_to_another_address__proves_nothing(chain):
    """Whoever settles through a contract chooses what that contract is called with."""
    account = keystore.development_account(35)
    quote = chain.client.quote(account.address, account_call(1))
    decoy = replace(quote, to="0x" + "12" * 20)
    hashes = []
    for nonce, called in enumerate((quote, decoy)):
        tx_hash, raw = chain.client.sign(account, nonce, called)
        assert chain.client.broadcast([raw]) == ["sent"]
        hashes.append(tx_hash)
    function, arguments = chain.client.call_input(hashes[0], "PaymentRail")
    named = {"account": (1).to_bytes(32, "big"), "minimum": 0}
    assert (function, arguments) == ("setPayoutAccount", named)
    assert chain.client.call_input(hashes[1], "PaymentRail") == ("", {})
    with pytest.raises(Retry, match="does not show"):
        chain.client.call_input("0x" + "00" * 32, "PaymentRail")


@needs_anvil
def test_finalized__of_a_node_that_waits_for_nobody__is_its_newest_block(chain):
    assert chain.client.finalized() == chain.client.head()


@needs_anvil
@pytest.mark.parametrize("answer", [None, "0x7", [], {}, {"number": None}, {"number": "seven"}])
def test_finalized__that_names_no_block__is_a_retry(chain, monkeypatch, answer):
    monkeypatch.setattr(chain.client.nodes, "ask", lambda calls: [{"id": 0, "result": answer}])
    with pytest.raises(Retry):
        chain.client.finalized()
