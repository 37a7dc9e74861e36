"""The bank's SFTP server fails in every way: nothing is lost, sent twice, or sent to another.

What both channels promise is in test_bank_channel; the server here is asyncssh's.
"""

from __future__ import annotations

import getpass
import logging
import os
import shutil
import socket
import subprocess
import time

import asyncssh
import pytest

from orchestrator.edges.bank.channel import Folder, open_channel
from orchestrator.edges.bank.files import write_atomically
from orchestrator.edges.bank.sftp import Sftp
from orchestrator.errors import Halt, Retry
from orchestrator.settings import Settings
from tests.support.sftp_server import PASSWORD, SftpServer


@pytest.fixture
def server(tmp_path):
    root = tmp_path / "bank"
    for folder in ("to_bank", "from_bank"):
        (root / folder).mkdir(parents=True)
    sftp = SftpServer(root).start()
    sftp.admit(tmp_path / "key")
    write_atomically(tmp_path / "state" / "known_hosts", sftp.known_line())
    yield sftp
    sftp.end()


@pytest.fixture
def channel(server, tmp_path):
    return Sftp(server.url(), tmp_path / "key", tmp_path / "state")


def waits(server) -> list[str]:
    return sorted(p.name for p in (server.root / "to_bank").glob("*") if p.name[0] != ".")


def test_sftp__connection_cut_during_an_upload__bank_sees_nothing_and_then_all_of_it(
    server, channel
):
    data = os.urandom(200_000)
    server.faults.cut_after = 100_000
    with pytest.raises(Retry, match="failed"):
        channel.send("a.xml", data)
    assert waits(server) == [] and not channel.placed("a.xml")
    server.faults.cut_after = None
    assert channel.send("a.xml", data)
    assert (server.root / "to_bank" / "a.xml").read_bytes() == data
    assert [p.name for p in (server.root / "to_bank").iterdir()] == ["a.xml"]  # and no part of it


def test_sftp__server_restarts__goes_on(server, channel):
    assert channel.send("a.xml", b"a")
    server.stop()
    with pytest.raises(Retry, match="failed"):
        channel.send("b.xml", b"b")
    with pytest.raises(Retry):
        channel.receive()
    server.start()
    assert channel.send("b.xml", b"b") and waits(server) == ["a.xml", "b.xml"]


def test_sftp__disk_of_the_bank_is_full__is_retry_and_nothing_is_there(server, channel):
    server.faults.disk_full = True
    with pytest.raises(Retry):
        channel.send("a.xml", b"a")
    assert waits(server) == [] and not channel.placed("a.xml")
    server.faults.disk_full = False
    assert channel.send("a.xml", b"a")


def test_sftp__every_upload__is_renamed_into_place(server, channel):
    channel.send("a.xml", b"a")
    assert [name.rpartition(b"/")[2] for name in server.faults.renames] == [b"a.xml"]


def test_sftp__server_without_openssh_extensions__takes_files_all_the_same(server, channel):
    server.faults.no_posix_rename = True
    assert channel.send("a.xml", b"a") and waits(server) == ["a.xml"]


def test_sftp__outbox_may_not_be_read__file_goes_and_a_second_try_changes_nothing(
    server, channel, tmp_path
):
    server.faults.unreadable = {b"a.xml"}
    assert channel.send("a.xml", b"a")
    (tmp_path / "state" / "sent" / "a.xml").unlink()  # as if the power had been cut before it
    assert channel.send("a.xml", b"a") and waits(server) == ["a.xml"]


def test_sftp__another_host_key__halts_and_nothing_is_sent(server, channel, tmp_path):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key()
    line = f"[127.0.0.1]:{server.port} ".encode() + other
    write_atomically(tmp_path / "state" / "known_hosts", line)
    with pytest.raises(Halt, match="another key than known_hosts"):
        channel.send("a.xml", b"a")
    with pytest.raises(Halt):
        channel.receive()
    assert waits(server) == []


@pytest.mark.parametrize("host_lines", [b"", None, b"other.example ssh-ed25519 AAAA\n"])
def test_sftp__host_not_known__halts_with_the_line_to_write(server, channel, tmp_path, host_lines):
    path = tmp_path / "state" / "known_hosts"
    path.unlink()
    if host_lines is not None:
        write_atomically(path, host_lines)
    with pytest.raises(Halt, match=f"ssh-keyscan -p {server.port} 127.0.0.1"):
        channel.send("a.xml", b"a")
    assert waits(server) == []


def test_sftp__key_the_bank_does_not_know__is_retry_by_name(server, channel, tmp_path):
    pair = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "key").write_bytes(pair.export_private_key())
    with pytest.raises(Retry, match="refuses the login of rail"):
        channel.send("a.xml", b"a")


def test_sftp__password_instead_of_a_key__is_accepted_and_never_shown(
    server, channel, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    (tmp_path / "key").unlink()
    secret = tmp_path / "key.password"
    secret.touch(0o600)
    secret.write_text(PASSWORD + "\n")
    assert channel.send("a.xml", b"a")
    secret.write_text("wrong " + PASSWORD)
    with pytest.raises(Retry) as refusal:
        channel.send("b.xml", b"b")
    assert PASSWORD not in str(refusal.value) and PASSWORD not in caplog.text


@pytest.mark.parametrize("what", ["none", "open to others", "garbage", "passphrase"])
def test_sftp__private_key_of_no_use__halts_and_shows_nothing_of_it(
    server, channel, tmp_path, what
):
    key = tmp_path / "key"
    if what == "none":
        key.unlink()
    elif what == "open to others":
        key.chmod(0o640)
    elif what == "garbage":
        key.write_bytes(b"TOPSECRET")
    else:
        pair = asyncssh.generate_private_key("ssh-ed25519")
        key.write_bytes(pair.export_private_key("openssh", "phrase"))
    with pytest.raises(Halt, match="key") as refusal:
        channel.send("a.xml", b"a")
    assert "TOPSECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sftp://bank.example/out?in=/in",
        "sftp://rail@bank.example/out",
        "ftp://a@b/out?in=/in",
        "sftp://rail:secret@bank.example/out?in=/in",
    ],
)
def test_sftp__url_without_a_part_or_with_a_secret__halts(tmp_path, url):
    with pytest.raises(Halt) as refusal:
        Sftp(url, tmp_path / "key", tmp_path / "state")
    assert "secret" not in str(refusal.value)


def test_sftp__file_still_growing__waits_until_it_rests(server, channel):
    path = server.root / "from_bank" / "camt.xml"
    whole = b"<Document>" + b"x" * 5_000
    for length in (10, 200, 4_000, len(whole)):
        path.write_bytes(whole[:length])
        assert channel.receive() == []
    assert channel.receive() == [("camt.xml", whole)]


def test_sftp__same_size_another_time__is_another_file(server, channel):
    path = server.root / "from_bank" / "camt.xml"
    for number, data in enumerate((b"first", b"other")):
        path.write_bytes(data)
        os.utime(path, (1_000 + number, 1_000 + number))
        assert channel.receive() == [] and channel.receive() == [("camt.xml", data)]
        channel.done("camt.xml")
        assert channel.receive() == []


def test_sftp__names_of_half_files__are_not_seen(server, channel):
    for name in ("a.xml.part", "a.xml.tmp", "a.xml.filepart", ".a.xml"):
        (server.root / "from_bank" / name).write_bytes(b"half")
    assert channel.receive() == channel.receive() == []


def test_sftp__one_unreadable_file__the_others_are_read(server, channel):
    for name in ("a.xml", "b.xml"):
        (server.root / "from_bank" / name).write_bytes(name.encode())
    server.faults.unreadable = {b"a.xml"}
    assert channel.receive() == [] and channel.receive() == [("b.xml", b"b.xml")]
    server.faults.unreadable = set()
    assert channel.receive() == [("a.xml", b"a.xml"), ("b.xml", b"b.xml")]


def test_sftp__name_that_is_a_path__touches_no_file_of_the_rail(server, channel, tmp_path):
    odd = "odd name; rm -rf %2F..%2Fkey.xml"
    (server.root / "from_bank" / odd).write_bytes(b"y")
    (server.root / "to_bank" / "y.xml").write_bytes(b"y")
    server.faults.lists = [b"../to_bank/y.xml", b"x/../../to_bank/y.xml"]
    assert channel.receive() == [] and channel.receive() == [(odd, b"y")]
    for name in (odd, "../../never received"):
        channel.done(name)
    assert channel.receive() == []
    [note] = (tmp_path / "state" / "taken").iterdir()
    assert len(note.stem) == 64


def test_sftp__between_two_looks__server_is_not_asked(server, tmp_path):
    url = server.url().replace("poll=0", "poll=3600")
    channel = Sftp(url, tmp_path / "key", tmp_path / "state")
    assert channel.receive() == []
    server.stop()
    assert channel.receive() == []


def test_sftp__after_a_failure__server_is_left_alone_for_a_while(server, tmp_path):
    """Each wait in vain would hold up the worker for as long as the timeout is."""
    url = server.url().replace("poll=0", "poll=3600")
    channel = Sftp(url, tmp_path / "key", tmp_path / "state")
    server.stop()
    with pytest.raises(Retry, match="failed"):
        channel.send("a.xml", b"a")
    server.start()
    with pytest.raises(Retry, match="retrying after 6 polls"):
        channel.send("a.xml", b"a")
    assert Sftp(url, tmp_path / "key", tmp_path / "state").send("a.xml", b"a")


def test_open_channel__setting__chooses(tmp_path):
    assert isinstance(open_channel(Settings(home=tmp_path)), Folder)
    chosen = Settings(home=tmp_path, bank_channel="sftp://rail@bank.example/out?in=/in")
    assert isinstance(open_channel(chosen), Sftp)


@pytest.mark.skipif(not shutil.which("sshd"), reason="OpenSSH's sshd is not on PATH")
def test_sftp__served_by_openssh__files_go_and_come(tmp_path):
    for folder in ("out", "in", "state"):
        (tmp_path / folder).mkdir()
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path / 'key.pub'}\nSubsystem sftp internal-sftp\n"
        f"PidFile {tmp_path / 'pid'}\nUsePAM no\n"
    )
    public = (tmp_path / "host.pub").read_text()
    (tmp_path / "state" / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    daemon = subprocess.Popen([shutil.which("sshd"), "-D", "-f", str(tmp_path / "sshd_config")])
    try:
        url = f"sftp://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/out?in={tmp_path}/in&poll=0"
        channel = Sftp(url, tmp_path / "key", tmp_path / "state")
        for _ in range(200):  # until it listens
            assert daemon.poll() is None, "sshd ended; as root it needs the folder /run/sshd"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        assert channel.send("a.xml", b"a") and (tmp_path / "out" / "a.xml").read_bytes() == b"a"
        (tmp_path / "in" / "b.xml").write_bytes(b"b")
        assert channel.receive() == [] and channel.receive() == [("b.xml", b"b")]
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)
