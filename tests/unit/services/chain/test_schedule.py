"""When the chain's keeper mines and stores, on a clock of the test's own."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.chain.schedule import Action, Schedule


class Played:
    """A schedule that is played; dumps take `took_s`, blocks no time."""

    def __init__(self, took_s: float = 0.0, **rules: float) -> None:
        self.now, self.took_s, self.disk_full = 0.0, took_s, False
        given = {"block_s": 1.0, "heartbeat_s": 300.0, "depth": 3, **rules}
        self.schedule = Schedule(last_block=0.0, **given)
        self.done: list[tuple[float, Action]] = []

    def play(self, until: float, sends: tuple[float, ...] = ()) -> list[tuple[float, Action]]:
        """Do what is due, in turn, up to a time; return (time, action) of all that was done."""
        waiting = sorted(sends)
        while True:
            action, wait_s = self.schedule.next(self.now)
            at = self.now + max(wait_s, 0.0)
            if waiting and waiting[0] <= at:
                self.now = max(self.now, waiting.pop(0))
                self.schedule.work(self.now)
            elif at > until:
                self.now = until
                return self.done
            else:
                self.now = at
                self._do(action)

    def _do(self, action: Action) -> None:
        self.done.append((round(self.now, 2), action))
        if action is not Action.DUMP:
            self.schedule.mining()
            self.schedule.mined(self.now, work=action is Action.MINE)
            return
        self.now += self.took_s
        if self.disk_full:
            self.schedule.not_dumped(self.now)
        else:
            self.schedule.dumped(self.now, self.took_s)

    def times(self, action: Action) -> list[float]:
        return [at for at, done in self.done if done is action]


def test_work__once__is_mined_after_a_silence_covered_and_dumped_once():
    played = Played()
    assert played.play(100, sends=(10.0,)) == [
        (10.05, Action.MINE),
        (11.05, Action.COVER),
        (11.05, Action.DUMP),
    ]


def test_burst__that_never_pauses__gets_one_block_per_second():
    played = Played()
    played.play(4.5, sends=tuple(index / 100 for index in range(400)))
    mined = played.times(Action.MINE)
    assert 4 <= len(mined) <= 5 and mined[0] == 1.0
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(mined[:-1]))


def test_sender__that_waits_for_each_receipt__gets_a_block_per_transaction_without_covers():
    played = Played()
    played.play(2.9, sends=(0.0, 0.3, 0.6, 0.9, 1.2))
    assert len(played.times(Action.MINE)) == 5
    assert len(played.times(Action.COVER)) == 1


def test_work__without_end__is_dumped_all_the_same_but_never_more_than_a_fifth_of_the_time():
    played = Played(took_s=2.0)
    played.play(200, sends=tuple(range(200)))
    dumps = played.times(Action.DUMP)
    assert 10 <= len(dumps) <= 21
    assert all(later - earlier > 9.9 for earlier, later in pairwise(dumps))


def test_idle_chain__over_a_week__has_a_block_per_heartbeat_and_each_is_dumped():
    week = 7 * 24 * 3600
    played = Played(heartbeat_s=300)
    played.play(week)
    assert len(played.times(Action.HEARTBEAT)) == len(played.times(Action.DUMP)) == 2_016
    assert not played.times(Action.COVER)


def test_dump__that_fails__is_tried_again_and_blocks_go_on():
    played = Played()
    played.disk_full = True
    played.play(20, sends=(1.0, 12.0))
    assert len(played.times(Action.MINE)) == 2
    failed = played.times(Action.DUMP)
    assert len(failed) >= 3
    assert all(later - earlier > 4.9 for earlier, later in pairwise(failed))
    played.disk_full = False
    played.play(40)
    assert not played.schedule.undumped


def test_transaction__that_comes_while_a_block_is_mined__gets_another_block():
    schedule = Schedule(1.0, 300.0, 3, last_block=0.0)
    schedule.work(5.0)
    schedule.mining()
    schedule.work(5.1)
    schedule.mined(5.2, work=True)
    assert schedule.waiting
    assert schedule.next(5.2)[0] is Action.MINE


@pytest.mark.parametrize(("depth", "covers"), [(0, 0), (1, 1)])
def test_cover__of_depth_zero__is_left_out(depth, covers):
    played = Played(depth=depth)
    played.play(50, sends=(1.0,))
    assert len(played.times(Action.COVER)) == covers
    assert not played.schedule.undumped
