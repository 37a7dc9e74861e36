"""The loop one writes first: each record alone, from JSON to a mined transaction, then the next.

paho, json and pydantic, eth-account with coincurve, SQLModel row by row, one web3.py transaction
per record with its receipt awaited. It is written as well as such a loop can be: prepared contract
object, kept connections, cached keys, a chain that mines at once.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel
from sqlmodel import Field, Session, SQLModel, create_engine
from web3 import Web3

from device_adapters import registers
from device_adapters.inlets.log_inlet import Inlet
from oracles.types import Claim
from orchestrator.core.batch_bytes import Group, batch_argument
from orchestrator.edges.chain.ethereum import Account, LocalAccount, encode_typed_data
from orchestrator.products.metered_energy.product import EnergyFacts, encode_facts

IMPORT = registers.parse("1.8.0").number  # the total consumption


class LoopReading(BaseModel):
    """The part of an OCMF reading that the loop needs."""

    TM: str
    TX: str
    RV: float
    ST: str


class LoopPayload(BaseModel):
    """The part of an OCMF payload that the loop needs."""

    PG: str
    MS: str
    RD: list[LoopReading]


class LoopRow(SQLModel, table=True):
    """One settled record, as such a loop keeps it."""

    id: int | None = Field(default=None, primary_key=True)
    device: str
    counter: int
    body: str
    tx_hash: str


_TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "Attestation": [
        {"name": "rail", "type": "address"},
        {"name": "product", "type": "address"},
        {"name": "claims", "type": "Claim[]"},
    ],
    "Claim": [
        {"name": "agreement", "type": "bytes32"},
        {"name": "sequence", "type": "uint32"},
        {"name": "firstCounter", "type": "uint40"},
        {"name": "lastCounter", "type": "uint40"},
        {"name": "evidence", "type": "bytes32"},
        {"name": "facts", "type": "bytes"},
    ],
}


class Loop:
    """One such loop.

    keys: device name -> public key. agreements: device name -> id (bytes) and group. oracles: the
    accounts that attest (in this process: a first version has no processes).
    """

    def __init__(
        self,
        rail_file: dict[str, Any],
        rail_abi: list[Any],
        keys: dict[str, ec.EllipticCurvePublicKey],
        agreements: dict[str, tuple[bytes, Group]],
        oracles: list[LocalAccount],
        sender: LocalAccount,
        home: Path,
    ) -> None:
        self.rail_file, self.keys, self.agreements = rail_file, keys, agreements
        self.oracles, self.sender = sorted(oracles, key=lambda o: int(o.address, 16)), sender
        self.web3 = Web3(Web3.HTTPProvider(rail_file["rpc_url"]))
        self.rail = self.web3.eth.contract(address=rail_file["rail"], abi=rail_abi)
        engine = create_engine(f"sqlite:///{home / 'loop.sqlite3'}")
        SQLModel.metadata.create_all(engine, tables=[LoopRow.__table__])
        self.session = Session(engine)
        self.sequences: dict[str, int] = {}
        self.gas = 0

    def connect(self) -> None:
        """Starts to read the broker's log, with everybody's evidence."""
        place = self.rail_file
        self.inlet = Inlet(place["host"], place["nats_port"], "loop", place["loop_password"])
        if not self.inlet.wait_ready(30):
            raise RuntimeError("the broker does not let the loop read")
        self.batches = self.inlet.batches()

    def close(self) -> None:
        self.inlet.close()
        self.session.close()

    def settle(self, records: int) -> int:
        """Settles this many records, one after the other; returns how many were mined."""
        settled = 0
        while settled < records:
            for message in next(self.batches):
                for text in message.body.decode().splitlines():
                    settled += self._one(text)
        return settled

    def _one(self, text: str) -> int:
        _, payload, signature = text.split("|")
        record = LoopPayload.model_validate(json.loads(payload))
        key = self.keys.get(record.MS)
        if key is None:
            return 0
        key.verify(
            bytes.fromhex(json.loads(signature)["SD"]), payload.encode(), ec.ECDSA(hashes.SHA256())
        )
        claim = self._claim(record, text)
        signatures = [self._attest(oracle, claim) for oracle in self.oracles[:3]]
        tx_hash = self._send(claim, self.agreements[record.MS][1], signatures)
        self.session.add(
            LoopRow(
                device=record.MS,
                counter=claim["lastCounter"],
                body=text,
                tx_hash=tx_hash.hex(),
            )
        )
        self.session.commit()
        return 1

    def _claim(self, record: LoopPayload, text: str) -> dict[str, Any]:
        at = [datetime.fromisoformat(r.TM.rsplit(" ", 1)[0].replace(",", ".")) for r in record.RD]
        start, end = (round(r.RV * 1_000_000) for r in (record.RD[0], record.RD[-1]))
        begun, ended = (int(moment.timestamp()) for moment in (at[0], at[-1]))
        facts = EnergyFacts(start, end, end - start, begun, ended, register=IMPORT)
        counter = int(record.PG[1:])
        sequence = self.sequences[record.MS] = self.sequences.get(record.MS, 0) + 1
        leaf = Web3.keccak(hashlib.sha256(text.encode()).digest())
        return {
            "agreement": self.agreements[record.MS][0],
            "sequence": sequence,
            "firstCounter": counter,
            "lastCounter": counter,
            "evidence": bytes(leaf),
            "facts": encode_facts(facts),
        }

    def _attest(self, oracle: LocalAccount, claim: dict[str, Any]) -> bytes:
        document = {
            "types": _TYPES,
            "primaryType": "Attestation",
            "domain": {
                "name": "proofrail-oracles",
                "version": "2",
                "chainId": 31337,
                "verifyingContract": self.rail_file["committee"],
            },
            "message": {
                "rail": self.rail_file["rail"],
                "product": self.rail_file["product"],
                "claims": [claim],
            },
        }
        return bytes(oracle.sign_message(encode_typed_data(full_message=document)).signature)

    def _send(self, claim: dict[str, Any], group: Group, signatures: list[bytes]) -> bytes:
        batch = batch_argument(self.rail_file["product"], [Claim(*claim.values())], [group])
        call = self.rail.functions.settle(batch, signatures)
        sender = self.sender.address
        request = call.build_transaction(
            {
                "from": sender,
                "nonce": self.web3.eth.get_transaction_count(sender),
                "gas": call.estimate_gas({"from": sender}) * 13 // 10,
            }
        )
        signed = Account.sign_transaction(request, self.sender.key)
        tx_hash = self.web3.eth.send_raw_transaction(signed.raw_transaction)
        receipt = self.web3.eth.wait_for_transaction_receipt(tx_hash)
        if receipt["status"] != 1:
            raise RuntimeError(f"the loop's settlement failed: {tx_hash.hex()}")
        self.gas += receipt["gasUsed"]
        return tx_hash
