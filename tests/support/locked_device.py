"""A device that only tokens unlock; the decoder in it is the one of EnAccess' own library."""

from __future__ import annotations

from openpaygo import OpenPAYGOTokenDecoder, OpenPAYGOTokenEncoder, TokenType

_MODES = {TokenType.ADD_TIME: "add_time", TokenType.SET_TIME: "set_time"}


class LockedDevice:
    """`days` are what its tokens gave it; `count` is its own, and no command of ours sets it."""

    def __init__(self, key: str, count: int = 1, starting_code: int | None = None) -> None:
        self.key, self.count, self.starting_code = key, count, starting_code
        self._used = [count]
        self.days = 0

    def enter(self, digits: str) -> str:
        """Return "add_time" or "set_time" for a token that it takes; "used" or "invalid" if not."""
        value, kind, count, used = OpenPAYGOTokenDecoder.decode_token(
            digits, self.key, self.count, self._used, self.starting_code
        )
        if kind not in _MODES:
            return "used" if kind == TokenType.ALREADY_USED else "invalid"
        self.count, self._used = max(self.count, count), used
        self.days = int(value) + (self.days if kind == TokenType.ADD_TIME else 0)
        return _MODES[kind]


def library_token(
    key: str, count: int, days: int, adds: bool, starting_code: int | None = None
) -> str:
    """The digits that EnAccess' own library makes for a count."""
    kind = TokenType.ADD_TIME if adds else TokenType.SET_TIME
    made, digits = OpenPAYGOTokenEncoder.generate_token(
        secret_key=key,
        count=count - 1,
        value=days,
        token_type=kind,
        starting_code=starting_code,
    )
    assert made == count
    return digits
