-- Accounts, leases, tasks, cooldowns. Times are microseconds since 1970.

CREATE TABLE account (
  account_id    TEXT    PRIMARY KEY,
  position      INTEGER NOT NULL UNIQUE,            -- the order of registration
  email         TEXT    NOT NULL,
  user_id       TEXT    NOT NULL,                   -- '' until the platform told it
  name          TEXT    NOT NULL,
  cookie        TEXT    NOT NULL,
  password      TEXT    NOT NULL,
  offer         TEXT    NOT NULL,                   -- digest of the cookie that an operator gave last
  state         INTEGER NOT NULL,                   -- howler.pool.v1.AccountState
  reason        INTEGER NOT NULL,                   -- howler.error.v1.ErrorReason
  enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  slots         INTEGER NOT NULL CHECK (slots >= 0), -- 0: HOWLER_ACCOUNT_SLOTS
  failed_logins INTEGER NOT NULL,
  token         INTEGER NOT NULL DEFAULT 0,         -- of the last grant
  create_us     INTEGER NOT NULL,
  last_used_us  INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX account_user ON account (user_id) WHERE user_id <> '';

-- An ended lease is kept for a while, so that its holder is told that it is lost;
-- hence no foreign key: it may outlive its account.
CREATE TABLE lease (
  lease_id   TEXT    PRIMARY KEY,
  account_id TEXT    NOT NULL,
  mode       INTEGER NOT NULL,                      -- howler.pool.v1.LeaseMode
  token      INTEGER NOT NULL,
  holder     TEXT    NOT NULL,
  purpose    TEXT    NOT NULL,
  task_id    TEXT    NOT NULL,                      -- '' while it holds a slot of its own
  grant_us   INTEGER NOT NULL,
  end_us     INTEGER,                               -- NULL while it is live
  UNIQUE (account_id, token)
) STRICT;

CREATE INDEX lease_live ON lease (account_id) WHERE end_us IS NULL;
CREATE UNIQUE INDEX lease_task ON lease (task_id) WHERE end_us IS NULL AND task_id <> '';
CREATE INDEX lease_ended ON lease (end_us) WHERE end_us IS NOT NULL;

-- A task outlives its account as a record.
CREATE TABLE task (
  task_id      TEXT    PRIMARY KEY,
  account_id   TEXT    NOT NULL,
  model        TEXT    NOT NULL,
  principal    TEXT    NOT NULL,
  turn_id      TEXT    NOT NULL,
  create_us    INTEGER NOT NULL,
  last_used_us INTEGER NOT NULL,
  end_us       INTEGER                              -- NULL while it is active
) STRICT;

CREATE INDEX task_active ON task (account_id) WHERE end_us IS NULL;
CREATE INDEX task_recent ON task (last_used_us DESC, task_id DESC);

CREATE TABLE cooldown (
  account_id        TEXT    NOT NULL,               -- '' for the whole platform
  scope             INTEGER NOT NULL,               -- howler.pool.v1.CooldownScope
  upstream_model_id TEXT    NOT NULL,
  reason            TEXT    NOT NULL,
  until_us          INTEGER NOT NULL,
  PRIMARY KEY (account_id, scope, upstream_model_id)
) STRICT;
