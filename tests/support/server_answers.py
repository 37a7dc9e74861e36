"""What a person answers who makes a home of profile `server`, and ports that nobody listens on."""

from __future__ import annotations

import random

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


class ScatteredPorts(FreePorts):
    """Ports anywhere below those that the system gives away, to a test's rail for its whole life.

    A port of the system's choice is free only until a connection of another test gets it.
    """

    def take(self, usual: int, what: str) -> int:
        return super().take(random.randrange(12_000, 32_000), what)
