"""Attacks on MeteredFleet, each named after what the attacker does."""

from __future__ import annotations

import pytest
from web3 import Web3

from device_adapters.types import Rejected, device_id
from oracles.types import Claim
from orchestrator.products.metered_fleet import product as fleet
from orchestrator.products.metered_fleet.product import (
    FleetFacts,
    FleetKind,
    FleetMember,
    FleetStep,
)
from tests.support.contracts.contract_rail import DAY, DEVICE, EURO, HOUR
from tests.support.contracts.fleet_contract import (
    FLATS,
    FOR_EVER,
    FOREIGN,
    LIMIT,
    FleetContract,
    kept_of,
    members,
    period,
)
from tests.support.contracts.settled import known, skipping

NAMES = FLATS[:3]
PRICE = 300  # minor units a Wh
MOST = 22_000 * 61 // 60  # Wh that the fuse lets through in an hour and a minute
READ = (1, 1_000, 0)


@pytest.fixture(scope="module")
def shared_meters(deployed):
    return FleetContract(deployed)


class StandingFleet:
    """One agreement about three meters, and where it stands."""

    def __init__(self, meters: FleetContract, **changes) -> None:
        self.meters = meters
        self.terms = fleet.encode_terms(meters.terms(*NAMES, **changes))
        self.agreement, self.state = meters.open(self.terms), fleet.open(self.terms)

    def settle(self, facts: FleetFacts, limit: int = LIMIT) -> tuple[int, str]:
        """Price a claim for good; what is refused changes nothing."""
        raw, before = fleet.encode_facts(facts), self.meters.kept(self.agreement)
        [answer] = self.meters.settle(self.agreement, [(raw, limit, FOR_EVER)])
        if answer[1]:
            assert self.meters.kept(self.agreement) == before
        else:
            self.state = fleet.advance(self.state, self.terms, raw)
            assert self.meters.kept(self.agreement) == kept_of(self.state)
        return answer

    def hour(self, *steps: tuple[int, int, int]) -> FleetFacts:
        return period(self.state, HOUR, *steps)


@pytest.fixture
def flats(shared_meters):
    return StandingFleet(shared_meters)


def _with_row(facts: FleetFacts, index: int, **changes) -> FleetFacts:
    rows = list(facts.rows)
    rows[index] = rows[index]._replace(**changes)
    return facts._replace(rows=tuple(rows))


def test_rows__of_lower_registers__to_charge_the_energy_again__are_refused(flats):
    assert flats.settle(flats.hour(READ, READ, READ)) == (3_000 * PRICE, "")
    facts = flats.hour((1, 2_000, 0), READ, READ)
    assert flats.settle(_with_row(facts, 0, register=5_000)) == (0, "RowsUnknown")
    assert flats.settle(flats.hour(READ, READ, READ)) == (3_000 * PRICE, "")


@pytest.mark.parametrize("change", [{"counter": 9}, {"register": 5_001}, {"age": 1}])
@pytest.mark.parametrize("index", range(3))
def test_row__of_one_member_changed__is_refused(flats, change, index):
    facts = flats.hour(READ, READ, READ)
    assert flats.settle(_with_row(facts, index, **change)) == (0, "RowsUnknown")


def test_rows__of_two_members_exchanged__to_use_the_longer_silence__are_refused(flats):
    flats.settle(flats.hour(READ, READ))
    facts = flats.hour(READ, READ, READ)
    turned = facts._replace(rows=(facts.rows[2], facts.rows[1], facts.rows[0]))
    assert flats.settle(turned) == (0, "RowsUnknown")


def test_member_named_twice__to_charge_it_twice__is_no_member(shared_meters):
    once = members(*NAMES)
    with pytest.raises(Rejected):
        fleet.encode_terms(shared_meters.terms(*NAMES, members=(once[0], *once)))
    raw = bytearray(fleet.encode_terms(shared_meters.terms(*NAMES)))
    raw[58:90] = raw[26:58]
    assert shared_meters.refusal("open", bytes(32), DEVICE, 0, bytes(raw)) == "TermsMalformed"


@pytest.mark.parametrize("others", [(READ, READ), ()])
def test_counter__stands_while_the_register_rises__is_refused(flats, others):
    facts = flats.hour(*others)
    silent = facts.steps[-1]
    for step in (silent._replace(energy=1), FleetStep(0, 1, 0)):
        changed = facts._replace(steps=(*facts.steps[:-1], step))
        assert flats.settle(changed) == (0, "CounterStands")


@pytest.mark.parametrize("index", range(3))
def test_register__rises_faster_than_its_fuse_lets_through__is_refused(flats, index):
    """The others use little: the fuse is each meter's own."""
    steps = [(1, 0, 0)] * 3
    steps[index] = (1, MOST + 1, 0)
    assert flats.settle(flats.hour(*steps)) == (0, "FuseExceeded")
    steps[index] = (1, MOST, 0)
    assert flats.settle(flats.hour(*steps)) == (MOST * PRICE, "")


def test_register__read_early_in_the_hour__has_no_more_time_than_until_then(flats):
    half = 22_000 * 31 // 60
    assert flats.settle(flats.hour((1, half + 1, 30), READ, READ)) == (0, "FuseExceeded")
    assert flats.settle(flats.hour((1, half, 30), READ, READ)) == ((half + 2_000) * PRICE, "")
    rest = 22_000 * 91 // 60  # from half past to the end of the next hour
    assert flats.settle(flats.hour((1, rest + 1, 0), READ, READ)) == (0, "FuseExceeded")
    assert flats.settle(flats.hour((1, rest, 0), READ, READ)) == ((rest + 2_000) * PRICE, "")


def test_silent_member__speaks_again__is_charged_for_the_time_that_it_was_silent(flats):
    for _ in range(2):
        assert flats.settle(flats.hour(READ, READ)) == (2_000 * PRICE, "")
    most = 22_000 * 181 // 60
    assert flats.settle(flats.hour(READ, READ, (3, most + 1, 0))) == (0, "FuseExceeded")
    assert flats.settle(flats.hour(READ, READ, (3, most, 0))) == ((2_000 + most) * PRICE, "")


@pytest.mark.parametrize("age", [0, 59, 61, 65_535])
def test_silent_member__of_another_age__to_be_charged_more_or_less_later__is_refused(flats, age):
    facts = flats.hour(READ, READ)
    wrong = facts._replace(steps=(*facts.steps[:2], FleetStep(0, 0, age)))
    assert flats.settle(wrong) == (0, "ReadingOutside")


def test_reading__dated_before_the_period__to_bring_an_old_record_again__is_refused(flats):
    assert flats.settle(flats.hour((1, 0, 61), READ, READ)) == (0, "ReadingOutside")
    assert flats.settle(flats.hour((1, 0, 60), READ, READ)) == (2_000 * PRICE, "")


def test_period__claimed_twice_or_too_early__is_refused(flats):
    first = flats.hour(READ, READ, READ)
    early = first._replace(to_time=first.to_time - 1)
    assert flats.settle(early) == (0, "PeriodUnexpected")
    assert flats.settle(first) == (3_000 * PRICE, "")
    assert flats.settle(first) == (0, "PeriodUnexpected")
    again = flats.hour(READ, READ, READ)
    for begin in (first.from_time, again.from_time - 1, again.from_time + 1):
        assert flats.settle(again._replace(from_time=begin)) == (0, "PeriodUnexpected")


@pytest.mark.parametrize("plain", [True, False])
def test_energy__that_runs_over_into_the_next_part__to_move_a_neighbour__is_refused(
    shared_meters, plain
):
    """Row and step are added as one number: no part may leave its bits."""
    flats = StandingFleet(shared_meters, fuse_watts=2**32 - 1, price_per_kwh=1)
    other = READ if plain else (1, 1_000, 5)
    for step in ((1, 2**40 - 1, 0), (1, 2**39, 0), (2**32 - 1, 0, 0), (2**31, 0, 0)):
        for steps in ((step, other, other), (other, step, other), (other, other, step)):
            _, refusal = flats.settle(flats.hour(*steps))
            assert refusal in ("FuseExceeded", "RowOverflow")
    assert flats.settle(flats.hour((2**31 - 11, 2**38, 0), other, other))[1] == "FuseExceeded"
    most = (2**32 - 1) * 61 // 60
    steps = (2**31 - 11, most, 0), other, other
    assert flats.settle(flats.hour(*steps)) == ((most + 2_000) // 1_000, "")
    assert flats.settle(flats.hour(READ, other, other)) == (0, "RowOverflow")


def test_claim__that_charges_nothing__though_nothing_was_passed_over__is_refused(flats):
    """Else a payer's quorum could read the meters for free."""
    free = flats.hour(READ, READ, READ)._replace(kind=FleetKind.READ)
    assert flats.settle(free) == (0, "KindUnexpected")


def test_rest_of_a_unit__over_many_claims__is_charged_once_it_is_whole(shared_meters):
    flats = StandingFleet(shared_meters, price_per_kwh=333)
    amounts = [flats.settle(flats.hour((1, 1, 0), (1, 0, 0)))[0] for _ in range(7)]
    assert amounts == [0, 0, 0, 1, 0, 0, 1]


def test_refund__of_a_claim__leaves_the_rows_where_they_are(flats):
    flats.settle(flats.hour(READ, READ, READ))
    before = flats.meters.kept(flats.agreement)
    flats.meters.send("refunded", flats.agreement, 3_000 * PRICE)
    assert flats.meters.kept(flats.agreement) == before
    assert flats.settle(flats.hour(READ, READ, READ)) == (3_000 * PRICE, "")


class FleetOnRail:
    """The same on the rail itself, with its quorum, sequences and money."""

    def __init__(self, contracts, meters: FleetContract) -> None:
        self.contracts, self.meters = contracts, meters
        self.product = contracts.add_product("MeteredFleet")
        self.head = device_id("concentrator")
        contracts.enrol(self.head, contracts.key.p256(6_999))
        self.terms = fleet.encode_terms(meters.terms(*NAMES))

    def mandate(self, terms: bytes | None = None):
        terms = self.terms if terms is None else terms
        start = self.meters.since
        mandate = self.contracts.mandate(
            product=self.product.address, device=self.head, terms=terms, start=start
        )
        return known(mandate, "metered_fleet")

    def opening_refusal(self, terms: bytes) -> str:
        contracts = self.contracts
        opening = contracts.opening(self.mandate(terms))
        return contracts.refusal(contracts.rail.open, *opening, sender=contracts.stranger)

    def open(self) -> None:
        self.agreement = self.contracts.open(self.mandate())
        self.contracts.mint(20 * EURO, self.agreement)
        self.state = fleet.open(self.terms, self.meters.since)
        self.contracts.wait(DAY)

    def claim(self, sequence: int, facts: FleetFacts) -> Claim:
        counters = (10 + sequence,) * 2
        evidence = Web3.keccak(text="evidence")
        return Claim(self.agreement, sequence, *counters, evidence, fleet.encode_facts(facts))

    def settle(self, sequence: int, facts: FleetFacts) -> tuple[int, str]:
        settled = self.contracts.settle(self.claim(sequence, facts), product=self.product)
        self.contracts.assert_conserved()
        refusal = settled.refusals[0]
        if refusal == 0:
            self.state = fleet.advance(self.state, self.terms, fleet.encode_facts(facts))
        return settled.amounts[0], fleet.REFUSALS[refusal - 100] if refusal > 99 else settled.named[
            0
        ]


@pytest.fixture
def on_rail(contracts, shared_meters):
    return FleetOnRail(contracts, shared_meters)


def test_members__of_another_owner__to_charge_or_read_what_is_not_the_heads__open_nothing(on_rail):
    """The head's owner consents to the mandate, and so for its own devices alone."""
    good = fleet.decode_terms(on_rail.terms)

    def refusal(*names: str) -> str:
        return on_rail.opening_refusal(fleet.encode_terms(good._replace(members=members(*names))))

    assert refusal(*NAMES, FOREIGN) == "TermsMalformed"
    assert refusal(*NAMES, "a device that nobody enrolled") == "TermsMalformed"
    assert refusal(*NAMES, "concentrator") == "TermsMalformed"
    assert refusal(*NAMES) == ""


def test_row__that_is_full_when_it_begins__opens_nothing(shared_meters):
    raw = fleet.encode_terms(shared_meters.terms(*NAMES))
    rows = 26 + 3 * 32
    for at in (0, 4, 11, 15, 22, 26):  # the first byte of counters and of registers
        full = raw[: rows + at] + bytes([raw[rows + at] | 0x80]) + raw[rows + at + 1 :]
        assert shared_meters.refusal("open", bytes(32), DEVICE, 0, full) == "TermsMalformed"
        with pytest.raises(Rejected):
            fleet.decode_terms(full)


def test_claim__made_on_a_block_that_a_reorganisation_removed__is_refused_and_paid_once(on_rail):
    """Two claims of one sequence, one without a late record: what followed one fits it alone."""
    on_rail.open()
    node, start = on_rail.contracts.node, on_rail.state
    before = node.snapshot()
    first = period(start, HOUR, READ, READ)
    assert on_rail.settle(1, first) == (2_000 * PRICE, "None")
    second = period(on_rail.state, HOUR, READ, READ, READ)
    node.restore(before)
    on_rail.state = start
    other = period(start, HOUR, READ, READ, READ)
    assert on_rail.settle(1, other) == (3_000 * PRICE, "None")
    assert on_rail.settle(1, first) == (0, "SequenceUnexpected")
    assert on_rail.settle(2, first) == (0, "PeriodUnexpected")
    assert on_rail.settle(2, second) == (0, "RowsUnknown")
    assert on_rail.settle(2, period(on_rail.state, HOUR, READ, READ, READ)) == (900_000, "None")
    assert on_rail.settle(2, second) == (0, "SequenceUnexpected")


def test_skip__of_a_refused_claim__the_next_one_reads_the_meters_and_charges_nothing(on_rail):
    on_rail.open()
    contracts = on_rail.contracts
    assert on_rail.settle(1, period(on_rail.state, HOUR, READ, READ, READ)) == (900_000, "None")
    skip = skipping(contracts, on_rail.agreement, 2, 12)
    contracts.rail.skip(*skip, sender=contracts.stranger)
    charged = period(on_rail.state, HOUR, READ, READ, READ)
    assert on_rail.settle(3, charged) == (0, "KindUnexpected")
    on_rail.state = fleet.skip(on_rail.state)
    assert on_rail.settle(3, period(on_rail.state, HOUR, READ, READ)) == (0, "None")
    later = period(on_rail.state, HOUR, READ, READ, (2, 2_000, 0))  # the third was silent meanwhile
    assert on_rail.settle(4, later) == (4_000 * PRICE, "None")


def test_refused_fleet__in_a_batch__stops_no_other_claim(on_rail):
    on_rail.open()
    contracts, first = on_rail.contracts, on_rail.agreement
    second = FleetOnRail.__new__(FleetOnRail)
    second.__dict__ |= on_rail.__dict__
    second.head = device_id("another concentrator")
    contracts.enrol(second.head, contracts.key.p256(6_998))
    second.open()
    seconds = contracts.now - on_rail.state.time  # the other head was enrolled a moment ago
    facts = period(on_rail.state, seconds, READ, READ, READ)
    bad = _with_row(facts, 0, register=1)
    claims = {first: on_rail.claim(1, bad), second.agreement: second.claim(1, facts)}
    batch = [claims[agreement] for agreement in sorted(claims)]
    settled = contracts.settle(*batch, product=on_rail.product)
    answers = dict(
        zip(sorted(claims), zip(settled.amounts, settled.refusals, strict=True), strict=True)
    )
    assert answers == {first: (0, 106), second.agreement: (900_000, 0)}


def test_head__that_the_registry_stops__ends_the_claims_and_no_member_does(on_rail):
    """The contract asks about the head alone; a member's records are the oracles' to judge."""
    on_rail.open()
    contracts = on_rail.contracts
    contracts.registry.revoke(device_id(NAMES[0]), sender=contracts.registrar)
    assert on_rail.settle(1, period(on_rail.state, HOUR, READ, READ, READ)) == (900_000, "None")
    contracts.registry.revoke(on_rail.head, sender=contracts.registrar)
    ended = contracts.now - on_rail.state.time
    contracts.wait(HOUR)
    late = period(on_rail.state, ended, READ, READ, READ)
    assert on_rail.settle(2, late) == (0, "DeviceNotActive")
    good = period(on_rail.state, ended - 60, READ, READ, READ)
    assert on_rail.settle(2, good) == (900_000, "None")


def test_terms__of_two_thousand_members__are_the_most(shared_meters):
    crowd = tuple(FleetMember(n.to_bytes(32, "big"), 0, 0) for n in range(1, 2_001))
    assert len(fleet.encode_terms(shared_meters.terms(*NAMES, members=crowd))) < 2**17
    with pytest.raises(Rejected):
        more = (*crowd, FleetMember(b"\xff" * 32, 0, 0))
        fleet.encode_terms(shared_meters.terms(*NAMES, members=more))
