"""A real SFTP server on a free loopback port; it is not the implementation of our client.

It misbehaves on demand: it breaks a connection during an upload, runs out of disk, lacks the
OpenSSH extensions, or refuses to be read.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "rail", "correct horse"


@dataclass
class Faults:
    """The faults of the server from now on."""

    cut_after: int | None = None  # bytes of an upload before the connection ends
    disk_full: bool = False
    no_posix_rename: bool = False
    unreadable: set[bytes] = field(default_factory=set)
    lists: list[bytes] = field(default_factory=list)  # impossible file names that it lists
    renames: list[bytes] = field(default_factory=list)  # new names of renamed files


class _Server(asyncssh.SFTPServer):
    def __init__(self, chan: Any, root: Path, faults: Faults) -> None:
        super().__init__(chan, chroot=str(root).encode())
        self._connection, self._faults, self._written = chan.get_connection(), faults, 0

    def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        if path.rpartition(b"/")[2] in self._faults.unreadable and not pflags & 2:
            raise asyncssh.SFTPPermissionDenied("not for you")
        return super().open(path, pflags, attrs)

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        if self._faults.disk_full:
            raise asyncssh.SFTPFailure("No space left on device")
        limit = self._faults.cut_after
        if limit is not None and self._written + len(data) > limit:
            super().write(file_obj, offset, data[: max(0, limit - self._written)])
            self._connection.abort()
            raise asyncssh.SFTPConnectionLost("connection cut")
        self._written += len(data)
        return super().write(file_obj, offset, data)

    async def scandir(self, path: bytes) -> Any:
        async for name in super().scandir(path):
            yield name
        for name in self._faults.lists:
            attrs = asyncssh.SFTPAttrs(permissions=0o100644, size=1, mtime=1, atime=1)
            yield asyncssh.SFTPName(name, attrs=attrs)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        if self._faults.no_posix_rename:
            raise asyncssh.SFTPOpUnsupported("no extension of that name")
        self._faults.renames.append(newpath)
        return super().posix_rename(oldpath, newpath)


class _Authentication(asyncssh.SSHServer):
    def __init__(self, keys: list[asyncssh.SSHKey]) -> None:
        self._keys = keys

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key in self._keys

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == USER and password == PASSWORD


class SftpServer:
    """Serves `root` to USER, by PASSWORD or by a key of `admit`, until `stop`."""

    def __init__(self, root: Path) -> None:
        self.root, self.faults, self.port = root, Faults(), 0
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._keys: list[asyncssh.SSHKey] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener: Any = None

    def start(self) -> SftpServer:
        """Start on a free port at first, later on the same one."""
        self._run(self._listen())
        return self

    def admit(self, key: Path) -> None:
        """Write a client's key pair to `key`, and admit it."""
        pair = asyncssh.generate_private_key("ssh-ed25519")
        key.parent.mkdir(parents=True, exist_ok=True)
        key.touch(0o600)
        key.write_bytes(pair.export_private_key())
        self._keys.append(pair.convert_to_public())

    def known_line(self) -> bytes:
        """Return the server's line for known_hosts."""
        name = f"[127.0.0.1]:{self.port} ".encode()
        return name + self.host_key.export_public_key()

    def url(self, outbox: str = "/to_bank", inbox: str = "/from_bank") -> str:
        return f"sftp://{USER}@127.0.0.1:{self.port}{outbox}?in={inbox}&poll=0"

    def stop(self) -> None:
        """End every connection; `start` serves again."""
        self._run(self._close())

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)

    async def _listen(self) -> None:
        self._listener = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host_key],
            allow_scp=False,
            server_factory=lambda: _Authentication(self._keys),
            sftp_factory=lambda chan: _Server(chan, self.root, self.faults),
        )
        self.port = self._listener.get_port()

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None

    def _run(self, task: Any) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(task, self._loop)
        done.result(timeout=60)
