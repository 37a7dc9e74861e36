"""The four MQTT topics of a device, and their subjects in the broker's log."""

from __future__ import annotations

EVIDENCE_FILTER = "proofrail/+/evidence/+"
ACKNOWLEDGEMENT = "outcomes/ack"  # in the place of a protocol's name; no protocol has a "/"

# The broker (NATS) keeps what devices publish with QoS 1 in one stream, under these subjects.
LOG = "$MQTT_msgs"
STORED = "$MQTT.msgs."
EVIDENCE_SUBJECTS = f"{STORED}proofrail.*.evidence.*"
# what devices publish: evidence, and acknowledgements of outcomes (a topic of four levels as well)
DEVICE_SUBJECTS = f"{STORED}proofrail.*.*.*"
LOG_READ = f"$JS.API.DIRECT.GET.{LOG}"
LOG_INFO = f"$JS.API.STREAM.INFO.{LOG}"


def evidence_topic(device: str, protocol: str) -> str:
    """Return the topic that a device publishes evidence to."""
    return f"proofrail/{device}/evidence/{protocol}"


def receipts_topic(device: str) -> str:
    """Return the topic that a device gets its receipts from."""
    return f"proofrail/{device}/receipts"


def outcomes_topic(device: str) -> str:
    """Return the topic that a device gets later outcomes of its records from."""
    return f"proofrail/{device}/outcomes"


def acknowledgements_topic(device: str) -> str:
    """Return the topic that a device acknowledges later outcomes on."""
    return f"proofrail/{device}/{ACKNOWLEDGEMENT}"


def sender_of(topic: str) -> tuple[str, str]:
    """Return (device, protocol) of what a device published, ("", "") for any other topic.

    An acknowledgement has ACKNOWLEDGEMENT in the place of the protocol.
    """
    levels = topic.split("/")
    if len(levels) == 4 and levels[1] and topic == acknowledgements_topic(levels[1]):
        return levels[1], ACKNOWLEDGEMENT
    return owner_of(topic)


def owner_of(topic: str) -> tuple[str, str]:
    """Return (device, protocol) of an evidence topic, or ("", "") for any other topic."""
    levels = topic.split("/")
    if len(levels) != 4 or levels[::2] != ["proofrail", "evidence"] or not all(levels):
        return "", ""
    return levels[1], levels[3]


def subject_of(topic: str) -> str:
    """Return the broker's subject of a topic: "/" becomes ".", and "." in a level becomes "//"."""
    return topic.replace(".", "\0").replace("/", ".").replace("\0", "//")


def topic_of(subject: str) -> str:
    """Return the topic of a subject; the reverse of `subject_of` for topics without "//"."""
    return subject.replace("//", "\0").replace(".", "/").replace("\0", ".")


def client_id_of(name: str) -> str:
    """Return the MQTT client id of a name; the broker accepts no other and no "." in it."""
    return name.replace(".", "~")


def inbox_of(name: str) -> str:
    """Return the prefix of the subjects on which a name gets answers from the broker."""
    return f"_INBOX.{client_id_of(name)}"
