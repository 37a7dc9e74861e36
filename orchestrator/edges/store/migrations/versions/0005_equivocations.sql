-- What revision 0005 adds, as it was then; later revisions change it, this file never.

CREATE TABLE signedbatch (
	batch_digest VARCHAR NOT NULL,
	rail VARCHAR NOT NULL,
	product VARCHAR NOT NULL,
	claims VARCHAR NOT NULL,
	PRIMARY KEY (batch_digest)
);

CREATE TABLE signedclaim (
	payment_id VARCHAR NOT NULL,
	batch_digest VARCHAR NOT NULL,
	claim_hash VARCHAR NOT NULL,
	PRIMARY KEY (payment_id, batch_digest)
);

CREATE TABLE oraclesignature (
	batch_digest VARCHAR NOT NULL,
	oracle VARCHAR NOT NULL,
	signature VARCHAR NOT NULL,
	received_at BIGINT NOT NULL,
	PRIMARY KEY (batch_digest, oracle)
);

CREATE TABLE equivocation (
	oracle VARCHAR NOT NULL,
	agreement_id VARCHAR NOT NULL,
	sequence INTEGER NOT NULL,
	first_digest VARCHAR NOT NULL,
	second_digest VARCHAR NOT NULL,
	found_at BIGINT NOT NULL,
	reported_tx VARCHAR,
	refusal VARCHAR NOT NULL,
	barred_at BIGINT,
	PRIMARY KEY (oracle)
);
