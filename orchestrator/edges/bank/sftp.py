"""The channel to the bank as an SFTP server: each file goes once, and none is taken half written.

Reading rights are enough in the bank's outbound folder: what was taken is noted here. Rules:
draft-ietf-secsh-filexfer-02 (SFTP 3); OpenSSH's posix-rename where the server has it. The server is
known by its host key beforehand (known_hosts); one it does not hold is never talked to.
"""

from __future__ import annotations

import json
import logging
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import paramiko
from paramiko.pkey import UnknownKeyType

from orchestrator.edges.bank.channel import MAX_FILE_BYTES, file_name, must_equal, write_atomically
from orchestrator.errors import Halt, Retry

_FORM = "sftp://user@host:port/folder-for-orders?in=/folder-of-statements&poll=10"
_FILES_A_LOOK = 200
_POLLS_AFTER_A_FAILURE = 6
_UNFINISHED = (".part", ".tmp", ".filepart")
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what matters is raised


class Sftp:
    """One bank's server. url: see `_FORM`; poll: seconds between two looks at the inbox.

    key: a private key file in any form of OpenSSH, or `<key>.password` beside it. state: our notes,
    and known_hosts. A file is taken when two looks in a row found it with the same size and time:
    a bank may well write it under its final name.
    """

    def __init__(self, url: str, key: Path, state: Path, timeout_s: int = 20) -> None:
        parts, more = urlsplit(url), parse_qs(urlsplit(url).query)
        if parts.scheme != "sftp" or not parts.username or not parts.hostname or "in" not in more:
            raise Halt(f"The bank's channel is written as {_FORM}. Nothing was sent.")
        if parts.password is not None:
            raise Halt(f"A password has no place in the bank's channel: put it into {key}.password")
        self._host, self._port, self._user = parts.hostname, parts.port or 22, parts.username
        self._outbox, self._inbox = parts.path.rstrip("/"), more["in"][0].rstrip("/")
        self._poll_s = int(more.get("poll", ["10"])[0])
        self._key, self._state, self._timeout_s = key, state, timeout_s
        self._next_look = self._next_try = 0  # by time.monotonic_ns
        self._seen: dict[str, list[int]] = {}  # name: size and time at the last look

    def send(self, name: str, data: bytes) -> bool:
        """As `Channel.send`; the bank sees the file when it is whole."""
        noted = self._state / "sent" / file_name(name)
        if noted.exists():
            must_equal(noted.read_bytes(), data, name)
            return False
        with self._visit() as server:
            is_new = not any(
                self._holds(server, place, name, data)
                for place in (self._outbox, f"{self._outbox}/archive")
            )
            if is_new:
                self._upload(server, name, data)
            write_atomically(noted, data)
        return is_new

    def placed(self, name: str) -> bool:
        """As `Channel.placed`; the server is not asked."""
        return (self._state / "sent" / name).exists()

    def receive(self) -> list[tuple[str, bytes]]:
        """As `Channel.receive`; nothing between two looks."""
        if time.monotonic_ns() < self._next_look:
            return []
        self._next_look, files = self._after(1), []
        with self._visit() as server:
            before, self._seen = self._seen, self._look(server)
            steady = [
                name
                for name, shape in sorted(self._seen.items())
                if before.get(name) == shape and self._note(name) != shape
            ]
            for name in steady[:_FILES_A_LOOK]:
                if self._seen[name][0] > MAX_FILE_BYTES:
                    self.reject(name)
                    continue
                with suppress(PermissionError):  # it is taken once it may be read
                    data = _read(server, f"{self._inbox}/{name}")
                    if data is not None and len(data) == self._seen[name][0]:
                        files.append((name, data))
        return files

    def done(self, name: str) -> None:
        """As `Channel.done`: noted here, since the bank's folder is the bank's."""
        self._put_note(name, "taken")

    def reject(self, name: str) -> None:
        """As `Channel.reject`."""
        self._put_note(name, "rejected")

    @contextmanager
    def _visit(self) -> Iterator[paramiko.SFTPClient]:
        """One connection; Retry where the server or the way to it fails, Halt where it is not the
        server that we know. One that failed is left alone for a while: waiting for it in vain holds
        up everything else."""
        where = f"the bank's SFTP server {self._host}:{self._port}"
        if time.monotonic_ns() < self._next_try:
            raise Retry(f"{where} did not serve, and is asked again a few looks later")
        with paramiko.SSHClient() as client:
            self._trust(client, where)
            secrets = self._secrets()
            try:
                client.connect(
                    self._host,
                    self._port,
                    self._user,
                    allow_agent=False,
                    look_for_keys=False,
                    timeout=self._timeout_s,
                    banner_timeout=self._timeout_s,
                    auth_timeout=self._timeout_s,
                    channel_timeout=self._timeout_s,
                    **secrets,
                )
                server = client.open_sftp()
                server.get_channel().settimeout(self._timeout_s)
                yield server
            except paramiko.BadHostKeyException as error:
                raise Halt(
                    f"{where} shows another key than known_hosts has. Nothing was sent. Ask the "
                    "bank for its new key's fingerprint before you change known_hosts."
                ) from error
            except paramiko.AuthenticationException as error:
                self._next_try = self._after(_POLLS_AFTER_A_FAILURE)
                raise Retry(
                    f"{where} does not let {self._user} in: {error}. Compare {self._key} "
                    "with what the bank has registered."
                ) from error
            except (paramiko.SSHException, EOFError, OSError, UnicodeError) as error:
                self._next_try = self._after(_POLLS_AFTER_A_FAILURE)
                raise Retry(f"{where} does not serve: {error or type(error).__name__}") from error

    def _after(self, polls: int) -> int:
        return time.monotonic_ns() + polls * self._poll_s * 10**9

    def _trust(self, client: paramiko.SSHClient, where: str) -> None:
        known = self._state / "known_hosts"
        name = self._host if self._port == 22 else f"[{self._host}]:{self._port}"
        if known.is_file():
            client.load_host_keys(str(known))
        if client.get_host_keys().lookup(name) is None:
            raise Halt(
                f"{where} is not known: {known} has no line for {name}. Nothing was sent. Write "
                f"one (`ssh-keyscan -p {self._port} {self._host}`), compared with the bank's "
                "letter."
            )
        client.set_missing_host_key_policy(paramiko.RejectPolicy())

    def _secrets(self) -> dict[str, Any]:
        """What we show to be let in; Halt where there is none, or others can read it."""
        password = self._key.with_name(f"{self._key.name}.password")
        path = next((each for each in (self._key, password) if each.is_file()), None)
        if path is None:
            raise Halt(
                f"There is neither {self._key} nor {password}: the bank's SFTP server would "
                "not let us in. Put the private key there, readable by you alone."
            )
        if path.stat().st_mode & 0o077:
            raise Halt(f"{path} can be read by others; run: chmod 600 {path}")
        if path == password:
            return {"password": path.read_text().rstrip("\n")}
        try:
            return {"pkey": paramiko.PKey.from_path(path)}
        except (paramiko.SSHException, UnknownKeyType, TypeError, ValueError, OSError) as error:
            raise Halt(
                f"{path} is no private key without a passphrase: {type(error).__name__}"
            ) from error

    def _holds(self, server: paramiko.SFTPClient, place: str, name: str, data: bytes) -> bool:
        """Whether this file is there; Halt where another one has its name. What may not be read
        counts as absent: the same bytes then replace it."""
        found = None
        with suppress(PermissionError):
            found = _read(server, f"{place}/{name}")
        if found is not None:
            must_equal(found, data, name)
        return found is not None

    def _upload(self, server: paramiko.SFTPClient, name: str, data: bytes) -> None:
        part, target = f"{self._outbox}/.{name}.part", f"{self._outbox}/{name}"
        with server.open(part, "wb") as file:
            file.write(data)
        if server.stat(part).st_size != len(data):
            raise OSError(f"{name} did not arrive whole")
        try:
            server.posix_rename(part, target)
        except OSError:  # a server without OpenSSH's extension; a real failure fails again
            server.rename(part, target)

    def _look(self, server: paramiko.SFTPClient) -> dict[str, list[int]]:
        """[size, time] of each file that waits, by name."""
        return {
            each.filename: [each.st_size or 0, each.st_mtime or 0]
            for each in server.listdir_attr(self._inbox)
            if stat.S_ISREG(each.st_mode or 0)
            and "/" not in each.filename
            and not each.filename.startswith(".")
            and not each.filename.endswith(_UNFINISHED)
        }

    def _note(self, name: str) -> list[int] | None:
        """Size and time of the file that was last taken under this name."""
        path = self._noted(name)
        return json.loads(path.read_bytes())["shape"] if path.is_file() else None

    def _put_note(self, name: str, what: str) -> None:
        if name in self._seen:
            told = {"name": name, "what": what, "shape": self._seen[name]}
            write_atomically(self._noted(name), json.dumps(told).encode())

    def _noted(self, name: str) -> Path:
        """By its name's hash: the name is the bank's, and is no path of ours."""
        return self._state / "taken" / f"{sha256(name.encode()).hexdigest()}.json"


def _read(server: paramiko.SFTPClient, path: str) -> bytes | None:
    """A file of bearable size (a longer one is cut, and so seen); None where there is none."""
    try:
        with server.open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
