"""A folder gets each effect as one complete file."""

from __future__ import annotations

import pytest

from orchestrator.core.effect_delivery import DELIVERED, DeliveryVerdict
from orchestrator.edges.effect_folder.folder import FolderTarget

ID = "0x" + "5a" * 32


def test_deliver__twice__is_one_file_with_the_content(tmp_path):
    target = FolderTarget(tmp_path)
    for _ in range(2):
        assert target.deliver(ID, "work_order", b"{}", 1) == DELIVERED
    [file] = tmp_path.iterdir()
    assert file.name == f"work_order-{'5a' * 32}.json" and file.read_bytes() == b"{}"


def test_deliver__to_a_share_that_is_not_mounted__waits(tmp_path):
    target = FolderTarget(tmp_path / "share")
    assert target.deliver(ID, "work_order", b"{}", 1).verdict is DeliveryVerdict.UNREACHABLE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("point", ["fsync", "replace"])
def test_deliver__disk_full__leaves_no_file_that_a_receiver_reads(tmp_path, monkeypatch, point):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"os.{point}", full)
    answer = FolderTarget(tmp_path).deliver(ID, "cash_order", b"{}", 1)
    assert answer.verdict is DeliveryVerdict.UNREACHABLE and "No space" in answer.detail
    assert not list(tmp_path.glob("*.json"))
