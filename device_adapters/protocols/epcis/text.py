"""The standard vocabularies of EPCIS events (CBV 2.0 section 7) and the three ways to write them.

A word is written bare ("shipping"), as the URN of CBV 1.x ("urn:epcglobal:cbv:bizstep:shipping"),
or as a URI of the web vocabulary ("https://ref.gs1.org/cbv/BizStep-shipping", also with the prefix
"cbv:"). Any other URI belongs to a private vocabulary, which CBV allows: it is kept as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

CBV = "https://ref.gs1.org/cbv/"
VOC = "https://gs1.org/voc/"
_URN = "urn:epcglobal:cbv:"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One list of words; `web` and `urn` are the text before the word in its two URIs."""

    name: str
    web: str
    urn: str
    words: frozenset[str]


def _cbv(name: str, web: str, urn: str, words: str) -> Vocabulary:
    return Vocabulary(name, f"{CBV}{web}-", f"{_URN}{urn}:", frozenset(words.split()))


def _gs1(name: str, words: str) -> Vocabulary:
    return Vocabulary(name, VOC, "gs1:", frozenset(words.split()))


STEPS = _cbv(
    "business step",
    "BizStep",
    "bizstep",
    """
    accepting arriving assembling collecting commissioning consigning creating_class_instance
    cycle_counting decommissioning departing destroying disassembling dispensing encoding
    entering_exiting holding inspecting installing killing loading other packing picking receiving
    removing repackaging repairing replacing reserving retail_selling sampling sensor_reporting
    shipping staging_outbound stock_taking stocking storing transporting unloading unpacking
    void_shipping""",
)
DISPOSITIONS = _cbv(
    "disposition",
    "Disp",
    "disp",
    """
    active available completeness_inferred completeness_verified conformant container_closed
    container_open damaged destroyed dispensed disposed encoded expired in_progress in_transit
    inactive mismatch_class mismatch_instance mismatch_quantity needs_replacement
    no_pedigree_match non_conformant non_sellable_other partially_dispensed recalled reserved
    retail_sold returned sellable_accessible sellable_not_accessible stolen unavailable unknown
    """,
)
TRANSACTIONS = _cbv(
    "business transaction type",
    "BTT",
    "btt",
    """
    bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt""",
)
PARTIES = _cbv("source or destination type", "SDT", "sdt", "owning_party possessing_party location")
ERRORS = _cbv("error reason", "ER", "er", "did_not_occur incorrect_data")
COMPONENTS = _cbv(
    "component",
    "Comp",
    "comp",
    """
    x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle easting
    northing latitude longitude altitude""",
)
MEASURES = _gs1(
    "measurement type",
    """
    AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance
    AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity
    Area Capacitance Conductance Conductivity Count Density Dimensionless DoseEquivalent
    DoseEquivalentRate DynamicViscosity ElectricCharge ElectricCurrent ElectricCurrentDensity
    ElectricFieldStrength Energy Exposure Force Frequency Illuminance Inductance Irradiance
    KinematicViscosity Length LinearMomentum Luminance LuminousFlux LuminousIntensity
    MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration
    MassFlowRate MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass
    MolarVolume Power Pressure RadiantFlux RadiantIntensity Radioactivity RelativeHumidity
    Resistance Resistivity SolidAngle SpecificVolume Speed SurfaceDensity SurfaceTension
    Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction VolumetricFlux
    Wavenumber""",
)
EXCEPTIONS = _gs1("sensor exception", "ALARM_CONDITION ERROR_CONDITION")


@lru_cache(maxsize=4_096)
def read_word(vocabulary: Vocabulary, text: str) -> tuple[str, str, bool]:
    """Return (word, URI, known) for a word of a vocabulary.

    A standard word is returned bare. A private URI is returned as both word and URI, and is known.
    Not known: a bare text, or a URI in the standard's namespace, that is not in the list.
    """
    text = text.strip()
    full = text.replace("cbv:", CBV, 1) if text.startswith("cbv:") else text
    bare = full.removeprefix(vocabulary.web).removeprefix(vocabulary.urn)
    if bare in vocabulary.words:
        return bare, vocabulary.web + bare, True
    standard = full.startswith((CBV, VOC, _URN, "gs1:")) or ":" not in full
    return bare, full, not standard
