"""The simulated lock takes what the device of EnAccess' own library takes, and nothing else."""

from __future__ import annotations

import random

from orchestrator.core.effect import UnlockMode
from orchestrator.core.unlock import UnlockKey, token_of
from services.simulated_devices.lock import SimulatedLock
from tests.support.locked_device import LockedDevice

KEY = bytes.fromhex("dac86b1a29ab82edc5fbbc41ec9530f6")


def test_lock__digits_in_any_order_lost_repeated_or_mistyped__answers_as_the_librarys_device():
    chance, answers = random.Random(5), []
    ours, theirs = SimulatedLock(KEY), LockedDevice(KEY.hex())
    for step in range(60):
        number = max(1, step // 2 + chance.randrange(-10, 6))  # some again, some never
        mode = UnlockMode.SET_TIME if chance.random() < 0.2 else UnlockMode.ADD_TIME
        days = 1 + number % 90
        digits = token_of(UnlockKey(KEY), number, mode, days).digits
        if chance.random() < 0.1:
            digits = f"{(int(digits) + 1) % 1_000_000_000:09}"
        answers.append(ours.enter(digits))
        assert answers[-1] == theirs.enter(digits)
        assert (ours.days, ours.count) == (theirs.days, theirs.count)
    assert set(answers) == {"add_time", "set_time", "used", "invalid"}


def test_lock__a_token_further_ahead_than_it_looks__is_invalid():
    lock = SimulatedLock(KEY)
    assert lock.enter(token_of(UnlockKey(KEY), 32, UnlockMode.ADD_TIME, 5).digits) == "invalid"
    assert lock.enter(token_of(UnlockKey(KEY), 31, UnlockMode.ADD_TIME, 5).digits) == "add_time"
    assert lock.days == 5
