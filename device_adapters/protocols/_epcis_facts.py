"""What an EPCIS record says, as JSON-ready facts, with its subject, its citations and its place.

facts = {"events": [EVENT, ...]}, in document order. EVENT:

    "type"          ObjectEvent | AggregationEvent | TransactionEvent | TransformationEvent |
                    AssociationEvent
    "hash"          Event Hash ID: "ni:///sha-256;<hex>?ver=CBV2.0". An errorDeclaration is not
                    part of it, so a withdrawal bears the hash of what it withdraws.
    "time_ms"       eventTime, Unix milliseconds
    "action"        ADD | OBSERVE | DELETE, "" where the type has none
    "step"          bizStep: the bare CBV word ("departing"), or the URI of another vocabulary; ""
    "disposition"   the same for the disposition
    "epcs"          canonical identifiers of what it is about: epcList, childEPCs, outputEPCList
    "parent"        canonical parentID, ""
    "quantity"      units it speaks of: the sum of its quantity list (elements without unit of
                    measure), else the number of `epcs` that are no SSCC; null where it tells
                    neither
    "transactions"  [[type, id], ...]: type the bare CBV word ("po"), id canonical
    "read_point"    canonical id, ""
    "location"      canonical bizLocation, ""
    "error"         true where the event carries an errorDeclaration
    "sensors"       [{"type": bare word ("Temperature"), "unit", "min", "max", "value", "at_ms",
                    "device", "said"}, ...]: unit "centi_celsius" or "milli_g", with min, max and
                    value as whole numbers of it (null where not reported); for any other measure
                    unit is the uom as written and the three are null. "said": the numbers as
                    decimal strings by their EPCIS names. at_ms: the report's time, else its
                    element's (endTime before time), else the event's.

Canonical identifiers are GS1 Digital Link URIs of id.gs1.org with the finest key only
(https://id.gs1.org/00/<SSCC>, https://id.gs1.org/01/<GTIN>/21/<serial>, https://id.gs1.org/414/
<GLN>/254/<extension>), whichever form was written; URIs that are no GS1 key stand as written.

Subject (one rule): an event's units are the SSCC of its parentID, else the SSCCs among its EPCs.
If every event of the record has exactly one unit, the same one: "sscc:" + its 18 digits. Else, if
every event names exactly one bizTransaction of type po, the same one: "po:" + its canonical id.
Else the record is rejected: subject_missing where neither is named, subject_ambiguous otherwise.

Event.cites: the values of the extension `confirms` in the namespace urn:proofrail:voc: (the prefix
proofrail needs no declaration), in document order. Event.names: the hashes of its events.
Event.place: the last readPoint: its canonical id, and degrees where the id is a geo: URI
(RFC 5870), else where sensor reports with the components latitude and longitude give them.
"""
