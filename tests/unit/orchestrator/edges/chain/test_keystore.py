"""Keys at rest: whole files for their owner alone, and a next step where one is missing."""

from __future__ import annotations

import json

import pytest

from orchestrator.assembly import SENDING_ROLES
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.keystore import APART
from orchestrator.errors import Halt


def test_create__twice__is_the_same_key_encrypted_and_private(tmp_path):
    created = keystore.create(tmp_path, "sender")
    assert keystore.create(tmp_path, "sender", "0x" + "11" * 32).address == created.address
    assert keystore.load(tmp_path, "sender").key == created.key
    path = tmp_path / "sender.json"
    assert bytes(created.key).hex() not in path.read_text()
    assert json.loads(path.read_text())["version"] == 3
    assert [p.stat().st_mode & 0o777 for p in sorted(tmp_path.iterdir())] == [0o600, 0o600]
    assert keystore.names(tmp_path) == ["sender"]


def test_load__key_that_is_not_there__says_what_makes_it(tmp_path):
    with pytest.raises(Halt, match=r"no key .sender. in .* restore it from a backup"):
        keystore.load(tmp_path, "sender")


def test_take_next__a_key_and_a_lost_one__follow_and_the_former_stays(tmp_path):
    former = keystore.create(tmp_path, "sender")
    following = keystore.prepare_next(tmp_path, "sender")
    assert keystore.prepare_next(tmp_path, "sender").key == following.key
    assert keystore.next_address(tmp_path, "sender").lower() == following.address.lower()
    assert keystore.take_next(tmp_path, "sender", "1") == "sender.former-1"
    assert keystore.load(tmp_path, "sender").key == following.key
    assert keystore.load(tmp_path, "sender.former-1").key == former.key
    (tmp_path / "sender.json").unlink()
    last = keystore.prepare_next(tmp_path, "sender")
    assert keystore.take_next(tmp_path, "sender", "2") is None
    assert keystore.load(tmp_path, "sender").key == last.key != following.key
    assert keystore.next_address(tmp_path, "sender") is None


def test_load__minter_of_a_home_of_0_3_0__is_the_key_named_gateway(tmp_path):
    former = keystore.create(tmp_path, "gateway")
    assert keystore.load(tmp_path, "minter").key == former.key
    assert keystore.address(tmp_path, "minter") == former.address
    assert keystore.create(tmp_path, "minter").key == former.key
    assert keystore.names(tmp_path) == ["gateway"]


def test_load__minter_where_both_names_exist__is_the_key_named_minter(tmp_path):
    former, minter = (keystore.create(tmp_path, "other"), keystore.create(tmp_path, "minter"))
    (tmp_path / "other.json").rename(tmp_path / "gateway.json")
    assert keystore.load(tmp_path, "minter").key == minter.key != former.key


def test_load__password_that_others_can_read__is_refused(tmp_path):
    keystore.create(tmp_path, "sender")
    (tmp_path / "password").chmod(0o644)
    with pytest.raises(Halt, match="can be read by others, who could use the keys; run: chmod 600"):
        keystore.load(tmp_path, "sender")


def test_load__under_another_password__halts_with_the_files_names(tmp_path):
    keystore.create(tmp_path, "sender")
    keystore.write_private(tmp_path / "password", b"another")
    with pytest.raises(Halt, match=r"sender\.json does not open with the password"):
        keystore.load(tmp_path, "sender")


def test_write_private__over_an_older_file__replaces_it_whole_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file"
    for content in (b"one" * 1_000, b"two"):
        keystore.write_private(path, content)
    assert path.read_bytes() == b"two" and list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_development_accounts__by_index__are_the_published_ones():
    first_address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert keystore.development_account(0).address == first_address


@pytest.mark.parametrize("role", keystore.APART)
def test_role_key__of_a_person__does_not_open_with_the_rails_password(tmp_path, role):
    """Steward, guardian and registrar are keys apart: who has the rail's password has none."""
    opened = {name: keystore.create(tmp_path, name) for name in (*SENDING_ROLES, role)}
    rails_password = keystore.password(tmp_path)
    path = tmp_path / role / f"{role}.json"
    with pytest.raises(Halt, match="does not open"):
        keystore.unlock(path, rails_password)
    assert keystore.load(tmp_path, role).key == opened[role].key
    assert keystore.address(tmp_path, role).lower() == opened[role].address.lower()
    assert path.stat().st_mode & 0o777 == 0o600 == (path.parent / "password").stat().st_mode & 0o777
    assert keystore.names(tmp_path) == sorted(SENDING_ROLES)
    for name in SENDING_ROLES:
        assert keystore.unlock(tmp_path / f"{name}.json", rails_password).key == opened[name].key
    (path.parent / "password").unlink()
    path.unlink()
    with pytest.raises(Halt, match=f"no key .{role}."):
        keystore.load(tmp_path, role)  # kept on another machine: this one has nothing to open


def test_role_keys__with_one_password_each__are_opened_by_no_other(tmp_path):
    passwords = {keystore.create(tmp_path, role) and _password(tmp_path, role) for role in APART}
    assert len(passwords | {keystore.password(tmp_path)}) == len(APART) + 1


def _password(folder, role: str) -> str:
    return (folder / role / "password").read_text()


def test_role_key__of_a_home_of_0_5_0__is_found_where_it_was(tmp_path):
    keystore.create(tmp_path, "sender")
    (tmp_path / "sender.json").rename(tmp_path / "steward.json")
    assert keystore.load(tmp_path, "steward").address
    assert not (tmp_path / "steward").exists()
