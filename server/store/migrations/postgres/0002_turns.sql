-- Turns and their logs. A turn has a row once it may run on the platform; of one that is not durable only what
-- memory does not hold is here, and nobody reads it after its process.

CREATE TABLE turn (
  turn_id         TEXT    PRIMARY KEY,
  task_id         TEXT    NOT NULL,                 -- '' until the platform accepted the turn
  account_id      TEXT    NOT NULL,
  lease_id        TEXT    NOT NULL,                 -- what it runs on
  conversation_id TEXT    NOT NULL,
  principal       TEXT    NOT NULL,
  model           TEXT    NOT NULL,
  start           BYTEA   NOT NULL,                 -- howler.task.v1.StartTurn without attachments
  durable         INTEGER NOT NULL CHECK (durable IN (0, 1)),
  key             TEXT    NOT NULL,                 -- StartTurn.idempotency; '' for none
  digest          BYTEA   NOT NULL,                 -- of the input, to compare under that key
  replica         TEXT    NOT NULL,                 -- which process runs it, and alone may write its log
  create_us       BIGINT  NOT NULL,
  end_us          BIGINT,                           -- NULL while it runs
  end_reason      INTEGER NOT NULL                  -- howler.task.v1.EndReason
);

CREATE INDEX turn_running ON turn (create_us) WHERE end_us IS NULL;
CREATE INDEX turn_ended ON turn (end_us) WHERE end_us IS NOT NULL;
CREATE INDEX turn_key ON turn (principal, key) WHERE key <> '';

-- A run of a turn's events, as one write found them ready.
CREATE TABLE turn_span (
  turn_id   TEXT    NOT NULL,
  first_seq BIGINT  NOT NULL,
  count     INTEGER NOT NULL,
  events    BYTEA   NOT NULL,                       -- the field `events` of howler.task.v1.StreamResponse
  PRIMARY KEY (turn_id, first_seq)
);
