"""Who may endorse a device: each rule of a path, broken once, is refused by name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from device_adapters.types import Rejected
from orchestrator.core.endorsement import (
    NEVER,
    Endorsement,
    EndorsementReason,
    check,
    read,
)
from tests.support import endorsing
from tests.support.endorsing import NOW, Made, device_key, name, pem, usage

F = EndorsementReason
ROOT = endorsing.root()
MAKER = ROOT.issue(name("Maker"), ca=True, path_length=0)
DEVICE = MAKER.issue(name("cp-1"))
OID = x509.ObjectIdentifier("1.2.3.4")
UNKNOWN = x509.UnrecognizedExtension(OID, b"\x05\x00")


def checked(
    *chain: Made, roots: tuple[Made, ...] = (ROOT,), device: str = "cp-1", key=None, now: int = NOW
) -> Endorsement:
    trusted = [root.certificate for root in roots]
    return check(pem(*chain), trusted, device, key or chain[0].device_key, now)


def fault(*chain: Made, **how) -> str:
    with pytest.raises(Rejected) as refused:
        checked(*chain, **how)
    assert refused.value.detail
    return refused.value.reason


def test_check__device_issuer_and_trusted_root__is_named_by_the_device_certificate():
    endorsement = checked(DEVICE, MAKER)
    assert endorsement.sha256 == DEVICE.certificate.fingerprint(hashes.SHA256())
    assert (endorsement.device, endorsement.key) == ("cp-1", DEVICE.device_key)
    assert (endorsement.issuer, endorsement.root) == ("CN=Maker", "CN=Root")
    ends = DEVICE.certificate.not_valid_after_utc
    assert datetime.fromtimestamp(endorsement.expires_at, UTC) == ends
    assert read(endorsement.pem) == [identity.certificate for identity in (DEVICE, MAKER, ROOT)]


def test_check__root_sent_along_or_left_out__is_the_same_endorsement():
    assert checked(DEVICE, MAKER, ROOT) == checked(DEVICE, MAKER)


def test_check__issuer_trusted_itself__needs_no_root_above():
    assert checked(DEVICE, roots=(MAKER,)).root == "CN=Maker"


def test_check__no_well_defined_expiry__is_zero():
    for_ever = datetime.fromtimestamp(NEVER, UTC)
    assert checked(MAKER.issue(name("cp-1"), not_after=for_ever), MAKER).expires_at == 0


def test_check__serial_number_names_the_device__is_taken():
    assert checked(MAKER.issue(name("Meter X", serial="cp-1")), MAKER).device == "cp-1"


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65_537, 2_048),
    ],
    ids=["P-384", "RSA-2048"],
)
@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_check__other_strong_issuer_keys__are_taken(key, digest):
    root = endorsing.root(key=key)
    assert checked(root.issue(name("cp-1"), digest=digest), roots=(root,)).expires_at


def test_check__device_on_secp256k1__is_taken_for_only_issuers_need_p256():
    leaf = MAKER.issue(name("cp-1"), key=ec.generate_private_key(ec.SECP256K1()))
    assert checked(leaf, MAKER).key.curve == "secp256k1"


def test_check__key_of_another_device__is_refused():
    other = device_key(ec.generate_private_key(ec.SECP256R1()))
    assert fault(DEVICE, MAKER, key=other) is F.OTHER_KEY


@pytest.mark.parametrize("device", ["cp-2", "", "CP-1", "cp-1 ", "cp-11"])
def test_check__another_name__is_refused(device):
    assert fault(DEVICE, MAKER, device=device) is F.OTHER_DEVICE


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize(("days", "wanted"), [((-9, -1), F.EXPIRED), ((1, 9), F.NOT_YET_VALID)])
def test_check__any_certificate_outside_its_time__is_refused(where, days, wanted):
    when = [{"days": days} if n == where else {} for n in range(3)]
    root = endorsing.root(**when[2])
    maker = root.issue(name("Maker"), ca=True, **when[1])
    assert fault(maker.issue(name("cp-1"), **when[0]), maker, roots=(root,)) is wanted


def test_check__first_and_last_second__are_inside():
    begins, ends = (
        int(moment.timestamp())
        for moment in (
            DEVICE.certificate.not_valid_before_utc,
            DEVICE.certificate.not_valid_after_utc,
        )
    )
    assert checked(DEVICE, MAKER, now=begins) == checked(DEVICE, MAKER, now=ends)
    assert fault(DEVICE, MAKER, now=begins - 1) is F.NOT_YET_VALID
    assert fault(DEVICE, MAKER, now=ends + 1) is F.EXPIRED


@pytest.mark.parametrize(
    "change", [{"ca": False, "usages": usage("key_cert_sign")}, {"bare": True}]
)
def test_check__issuer_is_not_a_ca__is_refused(change):
    maker = ROOT.issue(name("Maker"), **change)
    assert fault(maker.issue(name("cp-1")), maker) is F.ISSUER_NOT_A_CA


def test_check__device_issues_for_another__is_refused():
    assert fault(DEVICE.issue(name("cp-2")), DEVICE, MAKER, device="cp-2") is F.ISSUER_NOT_A_CA


@pytest.mark.parametrize("usages", [usage("digital_signature"), usage("crl_sign")])
def test_check__issuer_key_not_for_certificates__is_refused(usages):
    maker = ROOT.issue(name("Maker"), ca=True, usages=usages)
    assert fault(maker.issue(name("cp-1")), maker) is F.ISSUER_MAY_NOT_SIGN


def test_check__more_authorities_than_allowed__is_refused():
    deeper = MAKER.issue(name("Works"), ca=True)
    assert fault(deeper.issue(name("cp-1")), deeper, MAKER) is F.PATH_TOO_LONG
    strict = endorsing.root(path_length=0)
    maker = strict.issue(name("Maker"), ca=True)
    assert fault(maker.issue(name("cp-1")), maker, roots=(strict,)) is F.PATH_TOO_LONG


def test_check__renewed_issuer_of_the_same_name__does_not_count_as_one_more():
    renewed = MAKER.issue(name("Maker"), ca=True)  # self-issued: RFC 5280, 6.1.4 l
    assert checked(renewed.issue(name("cp-1")), renewed, MAKER).root == "CN=Root"


@pytest.mark.parametrize("where", [0, 1, 2])
def test_check__unknown_critical_extension__is_refused_and_a_plain_one_is_not(where):
    def chain(critical: bool) -> tuple[list[Made], Made]:
        more = [{"extensions": ((UNKNOWN, critical),)} if n == where else {} for n in range(3)]
        root = endorsing.root(**more[2])
        maker = root.issue(name("Maker"), ca=True, **more[1])
        return [maker.issue(name("cp-1"), **more[0]), maker], root

    bad, root = chain(True)
    assert fault(*bad, roots=(root,)) is F.EXTENSION_UNKNOWN
    good, root = chain(False)
    assert checked(*good, roots=(root,))


def test_check__name_constraints__are_never_passed_over():
    constraint = x509.NameConstraints([x509.DirectoryName(name("cp-2"))], None)
    maker = ROOT.issue(name("Maker"), ca=True, extensions=((constraint, False),))
    assert fault(maker.issue(name("cp-1")), maker) is F.EXTENSION_UNKNOWN


def test_check__root_of_the_same_name_with_another_key__is_unknown():
    assert fault(DEVICE, MAKER, roots=(endorsing.root(),)) is F.ROOT_UNKNOWN
    assert fault(DEVICE, MAKER, roots=()) is F.ROOT_UNKNOWN
    assert fault(DEVICE, MAKER, ROOT, roots=(endorsing.root(),)) is F.ROOT_UNKNOWN
    assert checked(DEVICE, MAKER, roots=(endorsing.root(), ROOT))


def test_check__device_certificate_signed_by_itself__is_unknown():
    assert fault(endorsing.root("cp-1", ca=False)) is F.ROOT_UNKNOWN


@pytest.mark.parametrize("order", [(1, 0), (1, 0, 2), (0, 2, 1), (2, 1, 0), (0, 2)])
def test_check__swapped_or_missing__is_refused(order):
    chain = [(DEVICE, MAKER, ROOT)[n] for n in order]
    assert fault(*chain, key=DEVICE.device_key) is F.OUT_OF_ORDER


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_check__certificate_that_does_not_belong__is_refused(place):
    chain = [DEVICE, MAKER, ROOT]
    chain.insert(place, endorsing.root("Stranger"))
    assert fault(*chain, key=DEVICE.device_key) is F.OUT_OF_ORDER


def test_check__certificates_after_the_root__are_refused():
    assert fault(DEVICE, MAKER, ROOT, ROOT) is F.EXTRA_CERTIFICATE


def test_check__issuer_name_right_but_signed_by_another_key__is_refused():
    thief = ec.generate_private_key(ec.SECP256R1())
    claimed = x509.AuthorityKeyIdentifier.from_issuer_public_key(MAKER.key.public_key())
    leaf = MAKER.issue(name("cp-1"), signer=thief, key_id=claimed)
    assert fault(leaf, MAKER) is F.SIGNATURE_INVALID


def test_check__key_identifiers_that_differ__are_refused():
    other = x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT.key.public_key())
    assert fault(MAKER.issue(name("cp-1"), key_id=other), MAKER) is F.ISSUER_KEY_DIFFERS
    serial = x509.AuthorityKeyIdentifier(
        None, [x509.DirectoryName(name("Root"))], MAKER.certificate.serial_number + 1
    )
    assert fault(MAKER.issue(name("cp-1"), key_id=serial), MAKER) is F.ISSUER_KEY_DIFFERS
    right = x509.AuthorityKeyIdentifier(
        None, [x509.DirectoryName(name("Root"))], MAKER.certificate.serial_number
    )
    assert checked(MAKER.issue(name("cp-1"), key_id=right), MAKER)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65_537, 1_024),
    ],
    ids=["P-521", "secp256k1", "RSA-1024"],
)
def test_check__weak_or_unknown_issuer_key__is_refused(key):
    maker = ROOT.issue(name("Maker"), ca=True, key=key)
    assert fault(maker.issue(name("cp-1")), maker) is F.KEY_WEAK


def test_check__edwards_curves__are_refused():
    key = ed25519.Ed25519PrivateKey.generate()
    maker = ROOT.issue(name("Maker"), ca=True, key=key)
    assert fault(maker.issue(name("cp-1")), maker) is F.DIGEST_WEAK
    assert fault(MAKER.issue(name("cp-1"), key=key), MAKER, key=DEVICE.device_key) is F.OTHER_KEY


def test_check__signed_over_less_than_sha256__is_refused():
    assert fault(MAKER.issue(name("cp-1"), digest=hashes.SHA224()), MAKER) is F.DIGEST_WEAK


@pytest.mark.parametrize("where", [0, 1])
def test_check__signed_over_sha1__is_refused(where):
    root = endorsing.root(key=rsa.generate_private_key(65_537, 2_048))
    chain = [root.issue(name("cp-1")), root]
    chain[where] = said_sha1(chain[where])
    assert fault(*chain, roots=(chain[1],)) is F.DIGEST_WEAK


def said_sha1(identity: Made) -> Made:
    """The same certificate, said to be signed with sha1WithRSAEncryption (RFC 8017, A.2.4)."""
    sha256, sha1 = (bytes.fromhex("2a864886f70d0101") + end for end in (b"\x0b", b"\x05"))
    der = identity.certificate.public_bytes(Encoding.DER)
    assert der.count(sha256) == 2
    return Made(x509.load_der_x509_certificate(der.replace(sha256, sha1)), identity.key)


def test_check__device_certificate_is_a_ca__is_refused():
    leaf = ROOT.issue(name("cp-1"), ca=True, usages=usage("key_cert_sign", "digital_signature"))
    assert fault(leaf) is F.DEVICE_IS_A_CA


def test_check__device_key_not_for_signatures__is_refused():
    assert (
        fault(MAKER.issue(name("cp-1"), usages=usage("key_agreement")), MAKER)
        is F.DEVICE_MAY_NOT_SIGN
    )
    assert checked(MAKER.issue(name("cp-1"), bare=True), MAKER)
