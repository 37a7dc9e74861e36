-- What revision 0002 adds, as it was then; later revisions change it, this file never.

ALTER TABLE device ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE device ADD COLUMN endorsement VARCHAR NOT NULL DEFAULT '';

ALTER TABLE device ADD COLUMN compromised_since BIGINT;

ALTER TABLE agreement ADD COLUMN closes_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE event ADD COLUMN role VARCHAR NOT NULL DEFAULT 'stream';

ALTER TABLE event ADD COLUMN place VARCHAR;

ALTER TABLE event ADD COLUMN began_ms BIGINT;

CREATE INDEX event_placed ON event (device_id, observed_at_ms) WHERE place IS NOT NULL;

ALTER TABLE payment ADD COLUMN payee VARCHAR NOT NULL DEFAULT '';

UPDATE payment SET payee = (
	SELECT agreement.payee FROM agreement WHERE agreement.agreement_id = payment.agreement_id
);

CREATE TABLE name (
	name VARCHAR NOT NULL,
	event_id VARCHAR NOT NULL,
	subject_id VARCHAR NOT NULL,
	PRIMARY KEY (name, event_id)
);

CREATE INDEX ix_name_event_id ON name (event_id);

CREATE TABLE citation (
	event_id VARCHAR NOT NULL,
	position INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	cited_event_id VARCHAR NOT NULL,
	PRIMARY KEY (event_id, position)
);

CREATE INDEX ix_citation_cited_event_id ON citation (cited_event_id);

CREATE TABLE conflict (
	event_id VARCHAR NOT NULL,
	content_hash VARCHAR NOT NULL,
	rejection_id INTEGER NOT NULL,
	device_id VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	found_at BIGINT NOT NULL,
	reported_tx VARCHAR,
	PRIMARY KEY (event_id, content_hash)
);

CREATE INDEX ix_conflict_device_id ON conflict (device_id);

CREATE TABLE credit (
	payment_id VARCHAR NOT NULL,
	agreement_id VARCHAR NOT NULL,
	payee VARCHAR NOT NULL,
	amount_micro BIGINT NOT NULL,
	paid_micro BIGINT NOT NULL,
	noted_at BIGINT NOT NULL,
	PRIMARY KEY (payment_id)
);

CREATE INDEX ix_credit_agreement_id ON credit (agreement_id);

CREATE INDEX ix_credit_payee ON credit (payee);
