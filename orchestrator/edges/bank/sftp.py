"""The SFTP channel to the bank: sends each file once, and takes only complete files.

Read access is enough in the bank's outbound folder, because the files taken are noted locally.
Protocol: draft-ietf-secsh-filexfer-02 (SFTP 3), with OpenSSH's posix-rename if the server has it.
The server's host key must be in known_hosts; other servers are refused.
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

from orchestrator.edges.bank.files import MAX_FILE_BYTES, file_name, must_equal, write_atomically
from orchestrator.errors import Halt, Retry

_FORM = "sftp://user@host:port/folder-for-orders?in=/folder-of-statements&poll=10"
_FILES_PER_POLL = 200
_POLLS_AFTER_FAILURE = 6
_UNFINISHED = (".part", ".tmp", ".filepart")
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # errors are raised instead


class Sftp:
    """The channel to one bank's SFTP server.

    A file is taken when two polls in a row show the same size and time, because a bank may write it
    under its final name.

    Args:
        url: See `_FORM`; `poll` is the seconds between two polls of the inbox.
        key: Private key file in any OpenSSH format; or a password in `<key>.password`.
        state: Folder of our notes and of known_hosts.
    """

    def __init__(self, url: str, key: Path, state: Path, timeout_s: int = 20) -> None:
        parts, more = urlsplit(url), parse_qs(urlsplit(url).query)
        if parts.scheme != "sftp" or not parts.username or not parts.hostname or "in" not in more:
            raise Halt(
                f"The setting PROOFRAIL_BANK_CHANNEL must have the form {_FORM}. Nothing was sent."
            )
        if parts.password is not None:
            raise Halt(
                f"The bank's channel must not contain a password. Put it into {key}.password."
            )
        self._host, self._port, self._user = parts.hostname, parts.port or 22, parts.username
        self._outbox, self._inbox = parts.path.rstrip("/"), more["in"][0].rstrip("/")
        self._poll_s = int(more.get("poll", ["10"])[0])
        self._key, self._state, self._timeout_s = key, state, timeout_s
        self._next_poll = self._next_try = 0  # by time.monotonic_ns
        self._seen: dict[str, list[int]] = {}  # name: size and time at the last poll
        self.failure = ""  # of the last visit; "" after one that succeeded

    def send(self, name: str, data: bytes) -> bool:
        """Send a file as `Channel.send`; the bank sees it when it is complete."""
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
        """Return whether a file was sent, as `Channel.placed`; does not ask the server."""
        return (self._state / "sent" / name).exists()

    def receive(self) -> list[tuple[str, bytes]]:
        """Return the waiting files as `Channel.receive`; [] between two polls."""
        if time.monotonic_ns() < self._next_poll:
            return []
        self._next_poll, files = self._after(1), []
        with self._visit() as server:
            before, self._seen = self._seen, self._list(server)
            steady = [
                name
                for name, shape in sorted(self._seen.items())
                if before.get(name) == shape and self._note(name) != shape
            ]
            for name in steady[:_FILES_PER_POLL]:
                if self._seen[name][0] > MAX_FILE_BYTES:
                    self.reject(name)
                    continue
                with suppress(PermissionError):  # taken as soon as it is readable
                    data = _read(server, f"{self._inbox}/{name}")
                    if data is not None and len(data) == self._seen[name][0]:
                        files.append((name, data))
        return files

    def done(self, name: str) -> None:
        """Note a file as taken, as `Channel.done`; the bank's folder is not changed."""
        self._put_note(name, "taken")

    def reject(self, name: str) -> None:
        """Note a file as refused, as `Channel.reject`."""
        self._put_note(name, "rejected")

    @contextmanager
    def _visit(self) -> Iterator[paramiko.SFTPClient]:
        """Open one connection.

        After a failure no connection is tried for some polls, because waiting for it delays
        everything else.

        Raises:
            Retry: the server or the connection fails.
            Halt: the server's key or our credentials are missing or wrong.
        """
        server_name = f"the bank's SFTP server {self._host}:{self._port}"
        if time.monotonic_ns() < self._next_try:
            raise Retry(f"{server_name} failed; retrying after {_POLLS_AFTER_FAILURE} polls")
        with paramiko.SSHClient() as client:
            self._trust(client, server_name)
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
                self.failure = ""
            except paramiko.BadHostKeyException as error:
                raise Halt(
                    f"{server_name} has another key than known_hosts. Nothing was sent. Ask the "
                    "bank for the fingerprint of its new key before you change known_hosts."
                ) from error
            except paramiko.AuthenticationException as error:
                self._next_try = self._after(_POLLS_AFTER_FAILURE)
                self.failure = f"{server_name} refuses the login of {self._user}"
                raise Retry(
                    f"{server_name} refuses the login of {self._user}: {error}. Compare "
                    f"{self._key} with the key that the bank has registered."
                ) from error
            except (paramiko.SSHException, EOFError, OSError, UnicodeError) as error:
                self._next_try = self._after(_POLLS_AFTER_FAILURE)
                self.failure = f"{server_name} failed: {error or type(error).__name__}"
                raise Retry(self.failure) from error

    def _after(self, polls: int) -> int:
        return time.monotonic_ns() + polls * self._poll_s * 10**9

    def _trust(self, client: paramiko.SSHClient, server_name: str) -> None:
        known_hosts = self._state / "known_hosts"
        name = self._host if self._port == 22 else f"[{self._host}]:{self._port}"
        if known_hosts.is_file():
            client.load_host_keys(str(known_hosts))
        if client.get_host_keys().lookup(name) is None:
            raise Halt(
                f"{server_name} is unknown: {known_hosts} has no line for {name}. Nothing "
                f"was sent. Add its line (`ssh-keyscan -p {self._port} {self._host}`) after you "
                "compare it with the bank's letter."
            )
        client.set_missing_host_key_policy(paramiko.RejectPolicy())

    def _secrets(self) -> dict[str, Any]:
        """Return the login secret; raises Halt if it is missing, invalid or not private."""
        password = self._key.with_name(f"{self._key.name}.password")
        path = next((candidate for candidate in (self._key, password) if candidate.is_file()), None)
        if path is None:
            raise Halt(
                f"There is neither {self._key} nor {password}, and the bank's SFTP server needs "
                "one. Put the private key there, readable only by you."
            )
        if path.stat().st_mode & 0o077:
            raise Halt(f"Other users can read the secret {path}. Run: chmod 600 {path}")
        if path == password:
            return {"password": path.read_text().rstrip("\n")}
        try:
            return {"pkey": paramiko.PKey.from_path(path)}
        except (paramiko.SSHException, UnknownKeyType, TypeError, ValueError, OSError) as error:
            raise Halt(
                f"{path} is not a private key without passphrase ({type(error).__name__}). "
                "Replace it."
            ) from error

    def _holds(self, server: paramiko.SFTPClient, place: str, name: str, data: bytes) -> bool:
        """Return whether the server has this file; raises Halt if it has another content.

        An unreadable file counts as absent; the same bytes then replace it.
        """
        content = None
        with suppress(PermissionError):
            content = _read(server, f"{place}/{name}")
        if content is not None:
            must_equal(content, data, name)
        return content is not None

    def _upload(self, server: paramiko.SFTPClient, name: str, data: bytes) -> None:
        part, target = f"{self._outbox}/.{name}.part", f"{self._outbox}/{name}"
        with server.open(part, "wb") as file:
            file.write(data)
        if server.stat(part).st_size != len(data):
            raise OSError(f"{name} did not arrive completely")
        try:
            server.posix_rename(part, target)
        except OSError:  # a server without OpenSSH's extension; a real failure fails again
            server.rename(part, target)

    def _list(self, server: paramiko.SFTPClient) -> dict[str, list[int]]:
        """Return {name: [size, time]} of the waiting files."""
        return {
            entry.filename: [entry.st_size or 0, entry.st_mtime or 0]
            for entry in server.listdir_attr(self._inbox)
            if stat.S_ISREG(entry.st_mode or 0)
            and "/" not in entry.filename
            and not entry.filename.startswith(".")
            and not entry.filename.endswith(_UNFINISHED)
        }

    def _note(self, name: str) -> list[int] | None:
        """Return [size, time] of the file last taken under this name."""
        path = self._note_path(name)
        return json.loads(path.read_bytes())["shape"] if path.is_file() else None

    def _put_note(self, name: str, what: str) -> None:
        if name in self._seen:
            note = {"name": name, "what": what, "shape": self._seen[name]}
            write_atomically(self._note_path(name), json.dumps(note).encode())

    def _note_path(self, name: str) -> Path:
        """Return the path of a note, named by hash because the bank chooses the file name."""
        return self._state / "taken" / f"{sha256(name.encode()).hexdigest()}.json"


def _read(server: paramiko.SFTPClient, path: str) -> bytes | None:
    """Return a file's content, at most MAX_FILE_BYTES + 1 bytes of it; None if missing."""
    try:
        with server.open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
