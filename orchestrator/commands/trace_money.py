"""The parts of a payment's tree that follow its settlement: effects, ledger, payout and bank."""

from __future__ import annotations

from typing import Any

from orchestrator.commands import output
from orchestrator.commands.output import decimal, money, plain, when


def add_branch(root: Any, at: int | None, title: str) -> Any:
    """Add a branch with its time, and return it."""
    return root.add(plain(f"{when(at)}  {title}" if at else title, "cyan"))


def add_leaves(branch: Any, *lines: str) -> None:
    """Add lines to a branch."""
    for line in lines:
        branch.add(plain(line))


def party_name(party: dict[str, Any] | None) -> str:
    """Return what people call a party."""
    return (party["name"] or party["address"]) if party else "the payee named by each claim"


def _add_debt(root: Any, life: dict[str, Any]) -> None:
    debt = life["debt"]
    if debt is not None:
        title = f"debt of {money(debt['owed'])}, {money(debt['paid'])} of it paid"
        if int(debt["cancelled"]["amount"]):
            title += f", {money(debt['cancelled'])} cancelled by a refund"
        add_branch(root, debt["noted_at"], title)


def _add_effects(root: Any, life: dict[str, Any]) -> None:
    for effect in life["effects"]:
        content = output.words(effect["content"] or {})
        branch = add_branch(root, effect["at"], f"effect {effect['name']}: {effect['kind']}")
        add_leaves(branch, f"{effect['effect_id']}  {content}".rstrip())
        if token := effect["token"]:
            shown = f"`proofrail unlock show {life['payment_id'][:14]}` prints its digits"
            add_leaves(branch, f"token {token['number']} of {token['device']}; {shown}")
        add_leaves(branch, *map(output.delivery_text, effect["deliveries"]))


def _add_ledger(root: Any, life: dict[str, Any]) -> None:
    for entry in life["ledger"]:
        branch = add_branch(root, entry["at"], f"ledger entry {entry['number']}: {entry['kind']}")
        for posting in entry["postings"]:
            side = "debit " if int(posting["amount"]) > 0 else "credit"
            amount = decimal(abs(int(posting["amount"])), posting["asset"])
            add_leaves(branch, f"{side} {amount}  {posting['account']}")


def _add_payout(root: Any, life: dict[str, Any]) -> None:
    payout = life["payout"]
    if payout is None:
        return
    title = f"payout {payout['payout_id']}: {money(payout)}, {payout['stage']}"
    branch = add_branch(root, payout["ordered_at"], title)
    add_leaves(
        branch,
        f"to {party_name(payout['payee'])}, with {payout['payments']} payments in it; "
        f"EndToEndId {payout['end_to_end_id']}",
    )
    if payout["reason"]:
        add_leaves(branch, f"reason: {payout['reason']}")


def _add_bank(root: Any, life: dict[str, Any]) -> None:
    file = life["bank_file"]
    if file is not None:
        branch = add_branch(root, file["at"], f"order to the bank: {file['name']}")
        add_leaves(branch, f"SHA-256 {file['sha256']}")
    _add_lines(root, life["statement_lines"])


def _add_share(root: Any, life: dict[str, Any]) -> None:
    share = life["share"]
    if share is None or share["came_in"] is None:
        return
    came_in = share["came_in"]
    title = f"{party_name(share['waterfall'])} took in {money(came_in)} in block {came_in['block']}"
    branch = add_branch(root, None, title)
    for part in share["holders"]:
        leaf = add_branch(branch, None, f"{money(part)} of it for {party_name(part['holder'])}")
        for payout in part["payouts"]:
            text = f"payout {payout['payout_id']}: {money(payout)}, {payout['stage']}"
            _add_lines(add_branch(leaf, payout["ordered_at"], text), payout["statement_lines"])
        if part["as_tokens"]:
            add_leaves(leaf, "taken as tokens")


def _add_lines(root: Any, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        kind = "return" if line["return"] else "statement line"
        title = f"{kind} of {line['booked_on']}: {money(line)} ({line['kind']})"
        branch = add_branch(root, line["at"], title)
        add_leaves(branch, f"{line['file']}, {line['path']}", f"SHA-256 {line['sha256']}")


MONEY_PARTS = (_add_debt, _add_effects, _add_ledger, _add_payout, _add_bank, _add_share)
