-- The tables of revision 0001, as they were then; later revisions change them, this file never.

CREATE TABLE ledgerentry (
	number INTEGER NOT NULL,
	entry_id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	ref VARCHAR NOT NULL,
	at BIGINT NOT NULL,
	hash VARCHAR NOT NULL,
	PRIMARY KEY (number),
	UNIQUE (entry_id)
);

CREATE TABLE ledgerposting (
	id INTEGER NOT NULL,
	entry_id VARCHAR NOT NULL,
	account VARCHAR NOT NULL,
	asset VARCHAR NOT NULL,
	amount_minor BIGINT NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE payout (
	payout_id VARCHAR NOT NULL,
	payee VARCHAR NOT NULL,
	account VARCHAR NOT NULL,
	cents BIGINT NOT NULL,
	end_to_end_id VARCHAR NOT NULL,
	tx_hash VARCHAR NOT NULL,
	stage VARCHAR NOT NULL,
	reason VARCHAR,
	file_hash VARCHAR,
	line_id VARCHAR,
	ordered_at BIGINT NOT NULL,
	PRIMARY KEY (payout_id),
	UNIQUE (end_to_end_id)
);

CREATE TABLE bankfile (
	file_hash VARCHAR NOT NULL,
	direction VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	body BLOB NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (file_hash)
);

CREATE TABLE bankline (
	file_hash VARCHAR NOT NULL,
	path VARCHAR NOT NULL,
	end_to_end_id VARCHAR NOT NULL,
	body VARCHAR NOT NULL,
	PRIMARY KEY (file_hash, path)
);

CREATE TABLE booking (
	line_id VARCHAR NOT NULL,
	file_hash VARCHAR NOT NULL,
	path VARCHAR NOT NULL,
	PRIMARY KEY (line_id)
);

CREATE TABLE bankstatement (
	account VARCHAR NOT NULL,
	statement VARCHAR NOT NULL,
	file_hash VARCHAR NOT NULL,
	day VARCHAR,
	opening_minor BIGINT,
	closing_minor BIGINT,
	PRIMARY KEY (account, statement)
);

CREATE TABLE funding (
	credit_id VARCHAR NOT NULL,
	agreement_id VARCHAR,
	cents BIGINT NOT NULL,
	stage VARCHAR NOT NULL,
	tx_hash VARCHAR,
	PRIMARY KEY (credit_id)
);

CREATE TABLE device (
	device_id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	curve VARCHAR NOT NULL,
	key_x VARCHAR NOT NULL,
	key_y VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	enrolled_at BIGINT NOT NULL,
	PRIMARY KEY (device_id),
	UNIQUE (name)
);

CREATE TABLE party (
	address VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	iban VARCHAR,
	bic VARCHAR,
	account VARCHAR,
	street VARCHAR NOT NULL,
	building VARCHAR NOT NULL,
	post_code VARCHAR NOT NULL,
	town VARCHAR NOT NULL,
	country VARCHAR NOT NULL,
	PRIMARY KEY (address)
);

CREATE TABLE agreement (
	agreement_id VARCHAR NOT NULL,
	device_id VARCHAR NOT NULL,
	device VARCHAR NOT NULL,
	product VARCHAR NOT NULL,
	product_address VARCHAR NOT NULL,
	payer VARCHAR NOT NULL,
	payee VARCHAR NOT NULL,
	cap_micro BIGINT NOT NULL,
	period_days INTEGER NOT NULL,
	window_s INTEGER NOT NULL,
	expiry BIGINT NOT NULL,
	first_counter BIGINT NOT NULL,
	required_domain INTEGER NOT NULL,
	salt VARCHAR NOT NULL,
	terms VARCHAR NOT NULL,
	signature VARCHAR NOT NULL,
	reference VARCHAR NOT NULL,
	stage VARCHAR NOT NULL,
	opened_at BIGINT NOT NULL,
	sequence INTEGER NOT NULL,
	last_counter BIGINT NOT NULL,
	PRIMARY KEY (agreement_id),
	UNIQUE (reference)
);

CREATE TABLE evidence (
	evidence_hash VARCHAR NOT NULL,
	body BLOB NOT NULL,
	protocol VARCHAR NOT NULL,
	source VARCHAR NOT NULL,
	received_at BIGINT NOT NULL,
	PRIMARY KEY (evidence_hash)
);

CREATE TABLE event (
	event_id VARCHAR NOT NULL,
	device_id VARCHAR NOT NULL,
	counter BIGINT NOT NULL,
	observed_at_ms BIGINT NOT NULL,
	received_at BIGINT NOT NULL,
	evidence_hash VARCHAR NOT NULL,
	content_hash VARCHAR NOT NULL,
	agreement_id VARCHAR NOT NULL,
	payment_id VARCHAR,
	reason VARCHAR,
	PRIMARY KEY (event_id)
);

CREATE TABLE rejection (
	id INTEGER NOT NULL,
	received_at BIGINT NOT NULL,
	source VARCHAR NOT NULL,
	device VARCHAR NOT NULL,
	protocol VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	detail VARCHAR NOT NULL,
	body BLOB NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE payment (
	payment_id VARCHAR NOT NULL,
	agreement_id VARCHAR NOT NULL,
	sequence INTEGER NOT NULL,
	stage VARCHAR NOT NULL,
	effect VARCHAR,
	due_at BIGINT NOT NULL,
	attempts INTEGER NOT NULL,
	first_counter BIGINT NOT NULL,
	last_counter BIGINT NOT NULL,
	evidence_root VARCHAR NOT NULL,
	facts VARCHAR NOT NULL,
	claim_hash VARCHAR NOT NULL,
	batch_digest VARCHAR,
	amount_micro BIGINT NOT NULL,
	release_at BIGINT NOT NULL,
	settlement_tx VARCHAR,
	release_tx VARCHAR,
	payout_id VARCHAR,
	reason VARCHAR,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (payment_id),
	UNIQUE (agreement_id, sequence)
);

CREATE TABLE paymentfact (
	id INTEGER NOT NULL,
	payment_id VARCHAR NOT NULL,
	fact VARCHAR NOT NULL,
	"key" VARCHAR NOT NULL,
	detail VARCHAR NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (payment_id, fact, "key")
);

CREATE TABLE attestation (
	batch_digest VARCHAR NOT NULL,
	oracle VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	domain INTEGER NOT NULL,
	signature VARCHAR NOT NULL,
	PRIMARY KEY (batch_digest, oracle)
);

CREATE TABLE batchclaim (
	batch_digest VARCHAR NOT NULL,
	payment_id VARCHAR NOT NULL,
	PRIMARY KEY (batch_digest, payment_id)
);

CREATE TABLE chainsend (
	tx_hash VARCHAR NOT NULL,
	chain_id INTEGER NOT NULL,
	sender VARCHAR NOT NULL,
	nonce INTEGER NOT NULL,
	purpose VARCHAR NOT NULL,
	ref VARCHAR NOT NULL,
	raw VARCHAR NOT NULL,
	stage VARCHAR NOT NULL,
	verdict VARCHAR NOT NULL,
	block_number INTEGER,
	gas_used INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (tx_hash),
	UNIQUE (chain_id, sender, nonce)
);

CREATE TABLE block (
	number INTEGER NOT NULL,
	hash VARCHAR NOT NULL,
	parent VARCHAR NOT NULL,
	timestamp BIGINT NOT NULL,
	final BOOLEAN NOT NULL,
	PRIMARY KEY (number)
);

CREATE TABLE chainlog (
	block_hash VARCHAR NOT NULL,
	log_index INTEGER NOT NULL,
	block_number INTEGER NOT NULL,
	tx_hash VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	args VARCHAR NOT NULL,
	PRIMARY KEY (block_hash, log_index)
);

CREATE TABLE proof (
	tx_hash VARCHAR NOT NULL,
	body VARCHAR NOT NULL,
	PRIMARY KEY (tx_hash)
);

CREATE TABLE hole (
	agreement_id VARCHAR NOT NULL,
	first_counter BIGINT NOT NULL,
	last_counter BIGINT NOT NULL,
	declared_at BIGINT NOT NULL,
	PRIMARY KEY (agreement_id, first_counter)
);

CREATE TABLE apikey (
	key_hash VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	role VARCHAR NOT NULL,
	scope VARCHAR NOT NULL,
	PRIMARY KEY (key_hash),
	UNIQUE (name)
);

CREATE TABLE idempotency (
	client VARCHAR NOT NULL,
	"key" VARCHAR NOT NULL,
	body_hash VARCHAR NOT NULL,
	status INTEGER NOT NULL,
	answer VARCHAR NOT NULL,
	PRIMARY KEY (client, "key")
);

CREATE INDEX ix_ledgerentry_ref ON ledgerentry (ref);

CREATE INDEX ix_ledgerposting_account ON ledgerposting (account);

CREATE INDEX ix_ledgerposting_entry_id ON ledgerposting (entry_id);

CREATE INDEX ix_payout_stage ON payout (stage);

CREATE INDEX ix_bankline_end_to_end_id ON bankline (end_to_end_id);

CREATE INDEX ix_funding_stage ON funding (stage);

CREATE INDEX ix_agreement_device_id ON agreement (device_id);

CREATE INDEX ix_event_payment_id ON event (payment_id);

CREATE INDEX event_by_counter ON event (agreement_id, counter);

CREATE INDEX ix_event_evidence_hash ON event (evidence_hash);

CREATE INDEX ix_rejection_reason ON rejection (reason);

CREATE INDEX ix_payment_agreement_id ON payment (agreement_id);

CREATE INDEX ix_payment_payout_id ON payment (payout_id);

CREATE INDEX ix_payment_stage ON payment (stage);

CREATE INDEX ix_payment_settlement_tx ON payment (settlement_tx);

CREATE INDEX payment_due ON payment (effect, due_at);

CREATE INDEX ix_payment_batch_digest ON payment (batch_digest);

CREATE INDEX ix_paymentfact_payment_id ON paymentfact (payment_id);

CREATE INDEX ix_chainsend_ref ON chainsend (ref);

CREATE INDEX ix_chainsend_stage ON chainsend (stage);

CREATE INDEX ix_chainlog_tx_hash ON chainlog (tx_hash);

CREATE INDEX ix_chainlog_block_number ON chainlog (block_number);

CREATE TRIGGER evidence_no_update BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;

CREATE TRIGGER evidence_no_delete BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;

CREATE TRIGGER paymentfact_no_update BEFORE UPDATE ON paymentfact BEGIN SELECT RAISE(ABORT, 'paymentfact is append-only'); END;

CREATE TRIGGER paymentfact_no_delete BEFORE DELETE ON paymentfact BEGIN SELECT RAISE(ABORT, 'paymentfact is append-only'); END;

CREATE TRIGGER ledgerentry_no_update BEFORE UPDATE ON ledgerentry BEGIN SELECT RAISE(ABORT, 'ledgerentry is append-only'); END;

CREATE TRIGGER ledgerentry_no_delete BEFORE DELETE ON ledgerentry BEGIN SELECT RAISE(ABORT, 'ledgerentry is append-only'); END;

CREATE TRIGGER ledgerposting_no_update BEFORE UPDATE ON ledgerposting BEGIN SELECT RAISE(ABORT, 'ledgerposting is append-only'); END;

CREATE TRIGGER ledgerposting_no_delete BEFORE DELETE ON ledgerposting BEGIN SELECT RAISE(ABORT, 'ledgerposting is append-only'); END;

CREATE TRIGGER bankfile_no_update BEFORE UPDATE ON bankfile BEGIN SELECT RAISE(ABORT, 'bankfile is append-only'); END;

CREATE TRIGGER bankfile_no_delete BEFORE DELETE ON bankfile BEGIN SELECT RAISE(ABORT, 'bankfile is append-only'); END;
