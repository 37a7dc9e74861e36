"""Runs the broker: nats-server, its log, and the service that admits connections."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import nats
import nkeys
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from device_adapters.topics import LOG, STORED
from orchestrator.edges.broker import server, tokens
from orchestrator.edges.broker.callout import Callout
from orchestrator.edges.broker.guard import Guard
from orchestrator.edges.broker.server import ServerKeys, ServerPlan
from orchestrator.errors import Halt

_WATCH_SECONDS = 0.5
_START_SECONDS = 60
_START_POLL_SECONDS = 0.02
_CHECK_SECONDS = 10
_CHECKS = 3  # failed ones in a row, then the log is taken for broken
_RETAINED = "$MQTT_rmsgs"
_log = logging.getLogger(__name__)


async def serve(plan: ServerPlan, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Run the broker until `stop` is set; call `ready` once it admits connections.

    Raises:
        Halt: the server ended, or its log answers no more. Starting again is safe.
    """
    issuer = tokens.Issuer()
    system_key, setup_key = (tokens.new_key(nkeys.PREFIX_BYTE_USER) for _ in range(2))
    users = [tokens.public_text(key) for key in (system_key, setup_key)]
    keys = ServerKeys(issuer.account, issuer.curve, *users)
    process = await server.start(plan, keys)
    try:
        setup = await _connect(plan, process, setup_key)
        await prepare_log(setup, plan)  # before a device can be admitted: the server makes others
        system = await _connect(plan, process, system_key)
        callout = Callout(system, Guard(plan.home), issuer)
        await callout.start()
        server.write_config(plan, keys, admitting=True)
        await _reload(system)
        ready()
        await _until_any(stop, process, callout, setup)
        await asyncio.gather(setup.close(), system.close())
    finally:
        await server.end(process)


async def prepare_log(setup: Client, plan: ServerPlan) -> None:
    """Make the streams that the MQTT side of the server uses, or set their limits again.

    A PUBACK covers the log alone. The stream of retained messages takes nothing longer than a
    byte: no right forbids retaining, and a retained record would be a replay to each newcomer.
    """
    await _make(
        setup,
        StreamConfig(
            name=LOG,
            subjects=[f"{STORED}>"],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,
            max_bytes=plan.log_bytes,
            max_age=plan.log_seconds,
            max_msgs_per_subject=plan.subject_messages,
            discard_new_per_subject=True,
            storage=StorageType.FILE,
            num_replicas=1,
            allow_direct=True,
        ),
    )
    await _make(
        setup,
        StreamConfig(
            name=_RETAINED,
            subjects=["$MQTT.rmsgs.>"],
            max_msg_size=1,
            max_msgs_per_subject=1,
            storage=StorageType.FILE,
            num_replicas=1,
        ),
    )


async def _make(setup: Client, config: StreamConfig) -> None:
    streams = setup.jetstream()
    try:
        await streams.stream_info(config.name)
    except NotFoundError:
        await streams.add_stream(config)
    else:
        await streams.update_stream(config)


async def _connect(
    plan: ServerPlan, process: asyncio.subprocess.Process, key: nkeys.KeyPair
) -> Client:
    """Connect to the own server as soon as it listens."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_SECONDS
    while process.returncode is None and loop.time() < deadline:
        try:
            return await nats.connect(
                plan.own_url,
                nkeys_seed_str=key.seed.decode(),
                tls=server.own_context(plan),
                allow_reconnect=False,
                reconnect_time_wait=0,  # the loop around it waits
                error_cb=_note,
            )
        except (OSError, NatsError, TimeoutError):
            await asyncio.sleep(_START_POLL_SECONDS)
    raise Halt(f"nats-server does not start (exit {process.returncode}); read broker/nats.log")


async def _reload(system: Client) -> None:
    """Have the server read its configuration file again, and wait until it has."""
    greeting = await system.request("$SYS.REQ.SERVER.PING", timeout=_START_SECONDS)
    server_id = json.loads(greeting.data)["server"]["id"]
    subject = f"$SYS.REQ.SERVER.{server_id}.RELOAD"
    content = json.loads((await system.request(subject, timeout=_START_SECONDS)).data)
    if "error" in content:
        raise Halt(f"nats-server refuses its configuration: {content['error']}")


async def _note(error: Exception) -> None:
    _log.debug("connection to the own server: %s", error)


async def _until_any(
    stop: asyncio.Event, process: asyncio.subprocess.Process, callout: Callout, setup: Client
) -> None:
    """Return when `stop` is set; raise when the server, its log or the watch ends."""
    waits = [
        asyncio.ensure_future(work)
        for work in (stop.wait(), process.wait(), _watch(callout), _check_log(setup))
    ]
    done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    if waits[0] in done:
        return
    for task in done:
        task.result()  # raises what ended it
    raise Halt(f"nats-server ended with code {process.returncode}; start the broker again")


async def _watch(callout: Callout) -> None:
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        try:
            await callout.end_changed()
        except NatsError as error:
            _log.warning("connections could not be ended, trying again: %s", error)


async def _check_log(setup: Client) -> None:
    """Ask for the log now and then: after a full disk the server stops its log for good."""
    failed = 0
    while failed < _CHECKS:
        await asyncio.sleep(_CHECK_SECONDS)
        try:
            await setup.jetstream().stream_info(LOG)
            failed = 0
        except (NatsError, TimeoutError) as error:
            failed += 1
            _log.warning("the broker's log does not answer: %r", error)
    raise Halt("the broker's log does not answer; make space on the disk, start the broker again")
