-- Accounts, slots, leases, tasks, cooldowns. `…_us` are microseconds since 1970, for records; `…_until` and
-- `until` are microseconds of the clock since boot, which all processes share (meta: boot_id).

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

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
  slots         INTEGER NOT NULL CHECK (slots BETWEEN 0 AND 1000), -- 0: HOWLER_ACCOUNT_SLOTS
  failed_logins INTEGER NOT NULL,
  session_us    INTEGER NOT NULL,                   -- when the session began; see Member
  session_dated INTEGER NOT NULL CHECK (session_dated IN (0, 1)),
  token         INTEGER NOT NULL DEFAULT 0,         -- of the last grant
  create_us     INTEGER NOT NULL,
  last_used_us  INTEGER NOT NULL,
  version       INTEGER NOT NULL,                   -- counts the writes of the record
  login_until   INTEGER NOT NULL DEFAULT 0          -- until then a replica may log it in
) STRICT;

CREATE UNIQUE INDEX account_user ON account (user_id) WHERE user_id <> '';

-- One row per slot, numbered from 1: what a grant takes. Free is one without a lease, without a task and not
-- closed. Numbers beyond the account's limit are of tasks that were there before the limit, or in spite of it.
CREATE TABLE slot (
  account_id   TEXT    NOT NULL,
  number       INTEGER NOT NULL,
  lease_id     TEXT    NOT NULL DEFAULT '',
  task_id      TEXT    NOT NULL DEFAULT '',
  closed_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX slot_lease ON slot (account_id, lease_id);
CREATE INDEX slot_task ON slot (account_id, task_id);

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
  replica    TEXT    NOT NULL,                      -- which process answers for it
  until      INTEGER NOT NULL,                      -- when it lapses
  grant_us   INTEGER NOT NULL,
  end_us     INTEGER,                               -- NULL while it has not ended
  UNIQUE (account_id, token)
) STRICT;

CREATE INDEX lease_live ON lease (account_id) WHERE end_us IS NULL;
CREATE INDEX lease_ended ON lease (end_us) WHERE end_us IS NOT NULL;

-- A task outlives its account as a record.
CREATE TABLE task (
  task_id      TEXT    PRIMARY KEY,
  account_id   TEXT    NOT NULL,
  model        TEXT    NOT NULL,
  principal    TEXT    NOT NULL,
  turn_id      TEXT    NOT NULL,
  busy         INTEGER NOT NULL CHECK (busy IN (0, 1)), -- a turn runs on it, or was left in the middle
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
  until             INTEGER NOT NULL,               -- when it is over
  until_us          INTEGER NOT NULL,               -- the same on the wall, for people and another boot
  PRIMARY KEY (account_id, scope, upstream_model_id)
) STRICT;
