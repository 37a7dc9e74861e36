"""What a person answers who makes a home of profile `server`, and ports that nobody listens on."""

from __future__ import annotations

import socket

from services.new_home import FreePorts

ORACLE = {"name": "north", "domain": 1, "address": "0x" + "11" * 20, "url": "https://o.example"}
ACCOUNT = {
    "name": 'Rail "Nord" Ltd\n',
    "iban": "DE89370400440532013000",
    "bic": "",
    "street": "Weg \\ 1",
    "building": "1",
    "post_code": "10115",
    "town": "Köln",
    "country": "DE",
}


class SystemPorts(FreePorts):
    """Ports that the system chooses, so that rails of tests that run at once do not meet."""

    def take(self, usual: int, what: str) -> int:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            return trial.getsockname()[1]
