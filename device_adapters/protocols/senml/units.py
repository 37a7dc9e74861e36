"""Units that SenML may name: primary and secondary units of IANA's registry.

Sources: RFC 8428 section 12.1, RFC 8798 (secondary units), and later entries. A unit that is not
listed here is read all the same, with a caution: a wrong spelling of energy would count nothing.
"""

from __future__ import annotations

_PRIMARY = (
    "m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 l "
    "m/s m/s2 m3/s l/s W/m2 cd/m2 bit bit/s lat lon pH dB dBW Bspl count / %RH %EL EL 1/s 1/min "
    "beat/min beats S/m B VA VAs var vars J/m kg/m3 deg NTU %"
)
_SECONDARY = (
    "ms min h MHz kW kVA kvar Ah Wh kWh varh kvarh VAh kVAh Wh/km KiB GB Mbit/s B/s MB/s mV mA "
    "dBm ug/m3 mm/h m/h ppm ppb ppt /100 /1000 hPa mm cm km km/h mg/l ug/l g/l"
)
REGISTERED = frozenset((*_PRIMARY.split(), *_SECONDARY.split()))
