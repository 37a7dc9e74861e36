"""Asks the nodes of a rail by JSON-RPC: in batches that they take; another node if one is silent.

What an answer says is checked elsewhere (core/block_json.py); this module only makes sure that each
call has exactly one answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import requests

from orchestrator.errors import Retry

RpcCall = tuple[str, list[Any]]

_MOST_CALLS = 200  # in one batch, until a node takes fewer
_GROW_AFTER = 16  # full batches that a node took, until a somewhat larger one is tried
_FORGET_AFTER = 512  # full batches until a size that was refused is tried again
_CONNECT_S = 5.0
_REST_S, _LONGEST_REST_S = 15.0, 240.0  # how long another node is asked first after one failed
# how nodes refuse one answer of a batch for the size of the whole: geth, erigon, providers
_TOO_MUCH = re.compile(r"batch|too large|too many|response size|limit exceeded", re.IGNORECASE)
_NO_METHOD = re.compile(r"unsupported method|method .{0,60}not (found|supported|available)", re.I)
_NO_BATCH = (-32600, -32700)  # invalid request, not parsed: of a node that knows no batch


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: user, path and query hold providers' keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def names_of(urls: Sequence[str]) -> list[str]:
    """Return a name for each URL, without secrets; two of one host have a number too."""
    names = [shown(url) for url in urls]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What is known about one node.

    Attributes:
        name: Its URL without secrets.
        answered_at: Unix seconds of its last usable answer; 0: none yet.
        head: The newest block that it showed.
        error: Why its last answer was not usable; "" if it was.
        most_calls: How many calls a batch to it may have, as learned.
    """

    name: str
    answered_at: int = 0
    head: int = 0
    error: str = ""
    most_calls: int = _MOST_CALLS


class Endpoint:
    """One node by its URL. It learns how large a batch may be, and what the node lacks."""

    def __init__(self, url: str, name: str, timeout_s: float) -> None:
        self.url, self.name = url, name
        self.most, self._fails_at, self._full = _MOST_CALLS, 0, 0
        self._taken = 0  # the size of the largest batch that it took
        self._takes_batches = True
        self.state = EndpointState(self.name)
        self.lacks: set[str] = set()  # methods that it does not serve
        self._session = requests.Session()
        self._timeouts_s = (min(timeout_s, _CONNECT_S), timeout_s)

    def ask(self, calls: Sequence[RpcCall]) -> list[dict[str, Any]]:
        """Return an answer for each call, in order; an error of one call is an answer.

        Batches that the node does not take whole are halved.

        Raises:
            Retry: It gives no usable answer.
        """
        answers: dict[int, dict[str, Any]] = {}
        try:
            while len(answers) < len(calls):
                missing = [place for place in range(len(calls)) if place not in answers]
                asked = missing[: self.most]
                answers |= self._some(asked, [calls[place] for place in asked])
        except Retry as error:
            self.failed(str(error))
            raise
        self.state = replace(
            self.state, answered_at=int(time.time()), error="", most_calls=self.most
        )
        return [answers[place] for place in range(len(calls))]

    def failed(self, reason: str) -> None:
        """Record why its last answer is not usable."""
        self.state = replace(self.state, error=reason, most_calls=self.most)

    def saw_head(self, number: int) -> None:
        """Record its newest block."""
        self.state = replace(self.state, head=number)

    def _some(self, asked: Sequence[int], calls: Sequence[RpcCall]) -> dict[int, dict[str, Any]]:
        """Return answers of one request, by number; fewer than asked if the node takes no more."""
        body: Any = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in zip(asked, calls, strict=True)
        ]
        if not self._takes_batches:
            body = body[0]
        try:
            reply = self._session.post(self.url, json=body, timeout=self._timeouts_s)
        except requests.Timeout as error:
            self._learn(len(calls))  # for the next time
            raise Retry(f"the node at {self.name} did not answer in time") from error
        except (requests.RequestException, ValueError) as error:
            raise Retry(f"the node at {self.name} is not reached: {_kind(error)}") from error
        if reply.status_code == 413:
            return self._refused(calls, "HTTP 413, the request is too large")
        if reply.status_code == 429:
            self._learn(len(calls))
            raise Retry(f"the node at {self.name} answered HTTP 429: too many requests")
        try:
            content = reply.json()
        except ValueError as error:
            raise Retry(
                f"the node at {self.name} gave no usable answer: HTTP {reply.status_code} and no "
                "JSON"
            ) from error
        if isinstance(content, dict) and self._takes_batches:
            if not _is_about_size(content):
                raise Retry(f"the node at {self.name} gave no usable answer: {_of_all(content)}")
            return self._refused(calls, _of_all(content))
        return self._sorted(asked, calls, content if isinstance(content, list) else [content])

    def _sorted(
        self, asked: Sequence[int], calls: Sequence[RpcCall], content: list[Any]
    ) -> dict[int, dict[str, Any]]:
        """Return the answers by the number of their call; each was asked for, and stands once."""
        answers: dict[int, dict[str, Any]] = {}
        for answer in content:
            number = answer.get("id") if isinstance(answer, dict) else None
            if type(number) is not int or number not in asked or number in answers:
                raise Retry(
                    f"the node at {self.name} gave no usable answer: one with the id "
                    f"{number!r:.40}, which was not asked for or has its answer"
                )
            answers[number] = answer
        cut = {
            number
            for number, (method, _) in zip(asked, calls, strict=True)
            if number in answers
            and method.startswith("eth_get")
            and _TOO_MUCH.search(refusal(answers[number]) or "")
        }
        if len(calls) > 1:
            answers = {number: answer for number, answer in answers.items() if number not in cut}
        if len(answers) < len(calls):
            if len(calls) == 1:
                raise Retry(f"the node at {self.name} answered 0 of 1 calls")
            self._learn(len(calls), len(answers))
        elif len(calls) == self.most:
            self._grow()
        return answers

    def _refused(self, calls: Sequence[RpcCall], why: str) -> dict[int, dict[str, Any]]:
        """Ask for less next time; raise Retry if it cannot be less."""
        if not self._takes_batches:
            raise Retry(f"the node at {self.name} gave no usable answer: {why}")
        self._takes_batches = len(calls) > 1  # not even a batch of one: one call at a time
        self._learn(len(calls))
        return {}

    def _learn(self, size: int, answered: int = 0) -> None:
        """Ask for less after a batch of this size: what it answered or took before, or half."""
        self._taken = self._taken if self._taken < size else 0
        most = max(1, answered or self._taken or size // 2)
        if most < self.most:
            self._fails_at, self.most, self._full = size, most, 0

    def _grow(self) -> None:
        """Try somewhat larger batches after some full ones, up to the size that was refused."""
        self._full += 1
        self._taken = max(self._taken, self.most)
        if self._full % _GROW_AFTER:
            return
        if self._full >= _FORGET_AFTER:
            self._fails_at, self._full, self._takes_batches = 0, 0, True
        most = min(self.most + max(1, self.most // 4), (self._fails_at or _MOST_CALLS + 1) - 1)
        self.most = max(self.most, min(most, _MOST_CALLS))


class Nodes:
    """The nodes of one rail, in the order of their preference.

    Args:
        urls: At least one.
        timeout_s: For one request.
        monotonic: Seconds of a clock that never jumps.
    """

    def __init__(
        self,
        urls: Iterable[str],
        timeout_s: float = 30,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        urls = list(dict.fromkeys(urls))
        self.endpoints = [
            Endpoint(url, name, timeout_s) for url, name in zip(urls, names_of(urls), strict=True)
        ]
        self._monotonic = monotonic
        self._rests_until: dict[str, float] = {}  # by URL, as the next two
        self._silent_until: dict[str, float] = {}
        self._silences: dict[str, int] = {}  # in a row
        self._used = self.endpoints[0]

    @property
    def used(self) -> Endpoint:
        """Return the node that answered last."""
        return self._used

    def ask(self, calls: Sequence[RpcCall]) -> list[dict[str, Any]]:
        """Return the answers of the first node that gives any; see `Endpoint.ask`.

        Raises:
            Retry: None does; the text has the reason of each.
        """
        reasons = []
        for endpoint in self._in_order():
            try:
                answers = endpoint.ask(calls)
            except Retry as error:
                reasons.append(str(error))
                self._silent(endpoint)
                continue
            self._used = endpoint
            self._silences.pop(endpoint.url, None)
            return answers
        raise Retry("; ".join(reasons))

    def rpc_many(self, calls: Sequence[RpcCall]) -> list[Any]:
        """Return the results of the calls; raise Retry if any is missing or an error."""
        return results_of(calls, self.ask(calls))

    def each(self, calls: Sequence[RpcCall]) -> dict[str, list[Any]]:
        """Return {node: results of the calls} of every node that answers all of them.

        A node that was silent a moment ago is not waited for again, unless all were.

        Raises:
            Retry: None does.
        """
        results: dict[str, list[Any]] = {}
        reasons = []
        now = self._monotonic()
        awake = [e for e in self.endpoints if self._silent_until.get(e.url, now) <= now]
        for endpoint in awake or self.endpoints:
            try:
                results[endpoint.name] = results_of(calls, endpoint.ask(calls))
            except Retry as error:
                reasons.append(str(error))
                self._silent(endpoint)
        if not results:
            raise Retry("; ".join(reasons))
        return results

    def distrust(self, reason: str) -> None:
        """Ask the other nodes first for a while: the last answer did not prove itself."""
        self._used.failed(reason)
        self._rests_until[self._used.url] = self._monotonic() + _REST_S

    def _silent(self, endpoint: Endpoint) -> None:
        silences = self._silences.get(endpoint.url, 0)
        self._silences[endpoint.url] = min(silences + 1, 8)
        until = self._monotonic() + min(_REST_S * 2**silences, _LONGEST_REST_S)
        self._rests_until[endpoint.url] = self._silent_until[endpoint.url] = until

    def _in_order(self) -> list[Endpoint]:
        now = self._monotonic()
        return sorted(self.endpoints, key=lambda e: self._rests_until.get(e.url, now) > now)


def results_of(calls: Sequence[RpcCall], answers: Sequence[dict[str, Any]]) -> list[Any]:
    """Return the results in these answers; raise Retry if one is an error."""
    for (method, _), answer in zip(calls, answers, strict=True):
        if (reason := refusal(answer)) is not None:
            raise Retry(f"{method}: {reason}")
    return [answer.get("result") for answer in answers]


def refusal(answer: dict[str, Any]) -> str | None:
    """Return the text of a node's error; None if there is none, or if it is null."""
    error = answer.get("error")
    if error is None:
        return None
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def lacks_method(answer: dict[str, Any]) -> bool:
    """Return whether a node says that it does not serve a method at all (EIP-1474, or in words)."""
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code in (-32601, -32004) or _NO_METHOD.search(refusal(answer) or "") is not None


def _of_all(content: dict[str, Any]) -> str:
    return refusal(content) or "one object for a batch of calls"


def _is_about_size(content: dict[str, Any]) -> bool:
    """Return whether a node refuses a batch for its size, or since it takes no batch at all."""
    error = content.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code in _NO_BATCH or _TOO_MUCH.search(refusal(content) or "") is not None


def _kind(error: Exception) -> str:
    """Return what kind of error it is: its text may hold the URL, and so a key."""
    return type(error).__name__
