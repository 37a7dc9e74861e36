"""Salted commitments: each record is proved by its salt and path, and by nothing else."""

from __future__ import annotations

from hashlib import sha256

import pytest

from device_adapters.protocols.sealed import commitment
from device_adapters.protocols.sealed.commitment import (
    RecordProof,
    SaltedRecord,
    commitment_of,
    proof_of,
    proves,
    salted,
)

# leaves and roots of Certificate Transparency's own tests (RFC 9162 has their tree)
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
]


@pytest.mark.parametrize("count", range(1, 8))
def test_tree__of_published_leaves__has_the_published_root(count):
    nodes = [sha256(b"\x00" + bytes.fromhex(leaf)).digest() for leaf in LEAVES[:count]]
    assert commitment._root(nodes).hex() == ROOTS[count - 1]


@pytest.mark.parametrize("count", range(1, 20))
def test_proof__of_each_record__holds_and_of_any_other_does_not(count):
    records = salted(b"trip %d" % n for n in range(count))
    root = commitment_of(records)
    for index in range(count):
        proof = proof_of(records, index)
        assert proves(proof, root)
        salt, record = proof.salted
        others = [
            proof._replace(salted=SaltedRecord(salt, record + b"0")),
            proof._replace(salted=SaltedRecord(bytes(32), record)),
            proof._replace(salted=SaltedRecord(salt[:31], salt[31:] + record)),
            proof._replace(index=(index + 1) % count if count > 1 else 1),
            proof._replace(path=(*proof.path, root)),
            proof._replace(path=proof.path[1:]) if count > 1 else proof._replace(count=2),
        ]
        assert not any(proves(other, root) for other in others)
        assert not proves(proof, commitment_of(salted([record])))


def test_inner_node__given_as_a_record__proves_nothing():
    records = salted([b"a", b"b"])
    left, right = (sha256(b"\x00" + salt + record).digest() for salt, record in records)
    forged = RecordProof(SaltedRecord(left, right), 0, 1, ())
    assert not proves(forged, commitment_of(records))


@pytest.mark.parametrize("records", [[], [SaltedRecord(b"short", b"trip")]])
def test_commitment__without_records_or_salts__is_refused(records):
    with pytest.raises(ValueError, match="a salt of 32 bytes"):
        commitment_of(records)


def test_salts__of_equal_records__are_never_equal():
    assert len({item.salt for item in salted([b"trip"] * 100)}) == 100
