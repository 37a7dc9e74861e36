"""Delivers effects of final payments to their targets, each at least once.

What a target has taken is noted after it took it: a crash in between sends the same bytes under the
same id again, and the receiver drops the repeat. A target that does not answer pauses as a whole;
an effect that a target refuses waits alone. Neither holds up the other targets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from orchestrator.core.effect import unlock_terms, with_token
from orchestrator.core.effect_delivery import DeliveryVerdict, TargetAnswer, TargetKind
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.keystore import LOCAL_CHAIN
from orchestrator.edges.effect_folder.folder import FolderTarget
from orchestrator.edges.store import Store, effects
from orchestrator.edges.unlock.keys import UnlockKeys
from orchestrator.edges.webhook.address import ReachPolicy
from orchestrator.edges.webhook.client import WebhookTarget
from orchestrator.errors import Halt
from orchestrator.secret_file import read_secret
from orchestrator.settings import Settings

_AT_ONCE = 20  # effects of one target in a turn
_TARGETS_AT_ONCE = 8
_PATIENCE_S = 4  # a turn begins no further try at a target after this long


class DeliverContext(Protocol):
    """What delivering effects needs of the rail."""

    settings: Settings
    store: Store
    chain: Chain
    now: Callable[[], int]  # Unix seconds
    log: Any


class Outgoing(Protocol):
    """How a target is reached; it never raises for what is wrong outside."""

    def deliver(self, identity: str, name: str, body: bytes, now: int) -> TargetAnswer: ...


_Batch = tuple[
    effects.EffectTargetRow,
    Sequence[tuple[effects.EffectRow, effects.UnlockNumberRow | None]],
]


def deliver_effects(context: DeliverContext) -> int:
    """Deliver what is due, all targets at the same time; return how many effects were taken."""
    now = context.now()
    with context.store.read() as session:
        batches = effects.due(session, now, _AT_ONCE)
    if not batches:
        return 0
    workers = min(_TARGETS_AT_ONCE, len(batches))
    with ThreadPoolExecutor(workers, thread_name_prefix="effects") as pool:
        results = list(pool.map(lambda batch: _deliver_to(context, batch, now), batches))
    taken = 0
    with context.store.write() as session:
        for (target, _), answers in zip(batches, results, strict=True):
            taken += effects.record_answers(session, target.name, answers, now)
            if answers and answers[-1][1].verdict is not DeliveryVerdict.DELIVERED:
                detail = answers[-1][1].detail
                context.log.info("effects wait", target=target.name, reason=detail)
    return taken


def _deliver_to(context: DeliverContext, batch: _Batch, now: int) -> list[tuple[str, TargetAnswer]]:
    target, rows = batch
    answers: list[tuple[str, TargetAnswer]] = []
    began = time.monotonic()
    outgoing = open_target(context.settings, context.chain.deployment.chain_id, target)
    keys = UnlockKeys(context.settings.unlock_keys)
    for effect, token in rows:
        message = outgoing if isinstance(outgoing, TargetAnswer) else _message(keys, effect, token)
        if isinstance(message, TargetAnswer):
            answer = message
        else:
            answer = outgoing.deliver(effect.effect_id, effect.kind, message.encode(), now)
        answers.append((effect.effect_id, answer))
        if answer.verdict is DeliveryVerdict.UNREACHABLE or time.monotonic() - began > _PATIENCE_S:
            break
    return answers


def _message(
    keys: UnlockKeys, effect: effects.EffectRow, number: effects.UnlockNumberRow | None
) -> str | TargetAnswer:
    """Return what is delivered, or why it cannot be; a token's digits are made now, each time."""
    if number is None:
        return effect.message
    mode, days = unlock_terms(effect.message)
    try:
        token = keys.token(number.device, number.number, mode, days)
    except Halt as damaged:
        return TargetAnswer(DeliveryVerdict.REFUSED, str(damaged))
    if token is None:
        return TargetAnswer(
            DeliveryVerdict.REFUSED,
            f"the key of the device {number.device} is not here (`proofrail unlock device add`)",
        )
    return with_token(effect.message, token.digits, token.count)


def open_target(
    settings: Settings, chain_id: int, row: effects.EffectTargetRow
) -> Outgoing | TargetAnswer:
    """Return how a target is reached, or why it cannot be."""
    return _WAYS[TargetKind(row.way)](settings, chain_id, row)


def _webhook(
    settings: Settings, chain_id: int, row: effects.EffectTargetRow
) -> Outgoing | TargetAnswer:
    try:
        secret = read_secret(secret_file(settings, row.name))
    except Halt:
        return TargetAnswer(
            DeliveryVerdict.UNREACHABLE,
            "its secret in keys/effects cannot be read: restore it from a backup, or remove the "
            "target and add it again",
        )
    return WebhookTarget(row.place, secret, reach_of(row.internal, chain_id))


def _folder(
    settings: Settings, chain_id: int, row: effects.EffectTargetRow
) -> Outgoing | TargetAnswer:
    return FolderTarget(Path(row.place))


_WAYS: Mapping[TargetKind, Callable[..., Outgoing | TargetAnswer]] = {
    TargetKind.WEBHOOK: _webhook,
    TargetKind.FOLDER: _folder,
}


def secret_file(settings: Settings, target: str) -> Path:
    """Return where the secret of a target is kept."""
    return settings.keys / "effects" / f"{target}.secret"


def reach_of(internal: bool, chain_id: int) -> ReachPolicy:
    """Return which addresses a target may have on a chain."""
    return ReachPolicy(internal, loopback=chain_id == LOCAL_CHAIN)
