-- What revision 0003 adds, as it was then; later revisions change it, this file never.

ALTER TABLE ledgerentry ADD COLUMN source VARCHAR NOT NULL DEFAULT '';

CREATE INDEX ix_ledgerentry_source ON ledgerentry (source);

CREATE TABLE pendingentry (
	number INTEGER NOT NULL,
	entry_id VARCHAR NOT NULL,
	block_hash VARCHAR NOT NULL,
	block_number INTEGER NOT NULL,
	kind VARCHAR NOT NULL,
	ref VARCHAR NOT NULL,
	at BIGINT NOT NULL,
	postings VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	PRIMARY KEY (number)
);

CREATE INDEX ix_pendingentry_block_hash ON pendingentry (block_hash);

CREATE INDEX ix_pendingentry_state ON pendingentry (state);

ALTER TABLE payout ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;

ALTER TABLE payout ADD COLUMN batch VARCHAR NOT NULL DEFAULT '';

ALTER TABLE payout ADD COLUMN due_on VARCHAR;

ALTER TABLE bankline ADD COLUMN identity VARCHAR NOT NULL DEFAULT '';

ALTER TABLE bankline ADD COLUMN content VARCHAR NOT NULL DEFAULT '';
ALTER TABLE bankline ADD COLUMN valued VARCHAR NOT NULL DEFAULT '';

CREATE INDEX ix_bankline_identity ON bankline (identity);

CREATE INDEX ix_bankline_content ON bankline (content);
CREATE INDEX ix_bankline_valued ON bankline (valued);

CREATE TABLE officer (
	address VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	added_at BIGINT NOT NULL,
	removed_at BIGINT,
	PRIMARY KEY (address),
	UNIQUE (name)
);

CREATE TABLE decision (
	decision_id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	subject VARCHAR NOT NULL,
	detail VARCHAR NOT NULL,
	proposed_at BIGINT NOT NULL,
	proposer VARCHAR NOT NULL,
	proposal VARCHAR NOT NULL,
	approver VARCHAR,
	approval VARCHAR,
	approved_at BIGINT,
	executed_at BIGINT,
	PRIMARY KEY (decision_id)
);

CREATE INDEX ix_decision_kind ON decision (kind);

CREATE INDEX ix_decision_subject ON decision (subject);

CREATE TABLE knownbreak (
	break_id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	ids VARCHAR NOT NULL,
	first_seen BIGINT NOT NULL,
	last_seen BIGINT NOT NULL,
	owner VARCHAR NOT NULL,
	resolved_by VARCHAR,
	body VARCHAR NOT NULL,
	closed VARCHAR NOT NULL,
	PRIMARY KEY (break_id)
);

CREATE INDEX ix_knownbreak_kind ON knownbreak (kind);
