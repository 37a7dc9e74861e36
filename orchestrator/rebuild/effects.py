"""Derives the outbox again from final blocks, and compares rows and numbers of tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.core.effect import EffectRecord, EffectScope, refund_of
from orchestrator.core.outcome import unpack
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.rails import rail_of
from orchestrator.edges.store import Session, agreements, all_rows, blocks, effects
from orchestrator.products import Product
from orchestrator.products.final_effects import final_effects
from orchestrator.rebuild.findings import Differences
from orchestrator.rebuild.history import ChainHistory, place


def check_effects(
    session: Session,
    deployment: Deployment,
    history: ChainHistory,
    products: Mapping[str, Product],
    findings: Differences,
) -> None:
    """Compare the outbox, and which token of its device each effect is, with the chain."""
    records = derived_effects(session, deployment, history, products)
    wanted, numbers, tokens = {}, {}, defaultdict(int)
    for record in records:
        columns = asdict(record)
        device = columns.pop("unlock_device")
        wanted[record.effect_id] = columns
        if device:
            tokens[device] += 1
            numbers[record.effect_id] = {"device": device, "number": tokens[device]}
    findings.rows("effect", all_rows(session, effects.EffectRow), wanted, lambda r: r.effect_id)
    findings.rows(
        "unlock number",
        all_rows(session, effects.UnlockNumberRow),
        numbers,
        lambda row: row.effect_id,
    )
    findings.count("effects", len(records))


def derived_effects(
    session: Session,
    deployment: Deployment,
    history: ChainHistory,
    products: Mapping[str, Product],
) -> list[EffectRecord]:
    """Return the effects of all final blocks, in the order in which they became final here.

    Of the store it takes only which agreements are the rail's own: signed mandates.
    """
    own = {row.agreement_id: row for row in all_rows(session, agreements.AgreementRow)}
    records: dict[str, EffectRecord] = {}
    of_payment: dict[str, list[tuple[EffectScope, EffectRecord]]] = defaultdict(list)
    for at, log in _in_order(history, blocks.followed(session)):
        if log.name == "DisputeEnded":
            amount, kept = log.args["amount"], log.args.get("kept", 0)
            if log.args["refunded"] and kept < amount:
                for scope, before in of_payment[log.args["payment"]]:
                    record = refund_of(scope, before, amount, kept, at)
                    records.setdefault(record.effect_id, record)
            continue
        outcomes = unpack(bytes.fromhex(log.args["outcomes"][2:]))
        for claim, outcome in zip(history.claims[place(log)], outcomes, strict=False):
            row = own.get("0x" + claim.agreement.hex())
            if outcome.refusal or row is None or row.product not in products:
                continue
            rail = deployment.addresses[rail_of(deployment, row.product_address)]
            scope = EffectScope(deployment.chain_id, rail.lower())
            product, mandate = products[row.product], agreements.mandate_of(row)
            for record in final_effects(
                scope, product, mandate, claim, outcome.amount_micro, at, log.tx_hash
            ):
                records.setdefault(record.effect_id, record)
                of_payment[record.payment_id].append((scope, record))
    return list(records.values())


def _in_order(history: ChainHistory, since: Mapping[str, int]) -> Iterator[tuple[int, DecodedLog]]:
    """Yield (time of its block, log) of what makes effects, in the order of finality.

    What a contract logged before the rail knew it comes behind the block that was final then.
    """
    logs: list[tuple[tuple[int, bool, int, int], int, Any]] = []
    for block in history.blocks:
        for log in history.logs[block.hash]:
            if log.name in ("Settled", "DisputeEnded"):
                known_at = since.get(log.address, 0)
                late = block.number <= known_at
                key = (known_at if late else block.number, late, block.number, log.index)
                logs.append((key, block.timestamp, log))
    for _, at, log in sorted(logs, key=lambda item: item[0]):
        yield at, log
