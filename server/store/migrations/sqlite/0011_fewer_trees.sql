-- What a turn writes goes to fewer trees. A lease stands under its id, and its token is unique by how it is made.
-- Leases and tasks know the number of their slot, so that no index need find it by what is in it.

DROP VIEW conversation_now;
ALTER TABLE lease RENAME TO lease_before;

CREATE TABLE lease (
  lease_id   TEXT    PRIMARY KEY,
  account_id TEXT    NOT NULL,
  slot       INTEGER NOT NULL,                      -- its number; 0 for a shared lease, which has none
  mode       INTEGER NOT NULL,                      -- howler.pool.v1.LeaseMode
  token      INTEGER NOT NULL,
  holder     TEXT    NOT NULL,
  purpose    TEXT    NOT NULL,
  task_id    TEXT    NOT NULL,                      -- '' while it holds a slot of its own
  turn_id    TEXT    NOT NULL DEFAULT '',           -- of the turn that runs on it for its caller, or ''
  replica    TEXT    NOT NULL,                      -- which process answers for it
  until      INTEGER NOT NULL,                      -- when it lapses
  grant_us   INTEGER NOT NULL,
  end_us     INTEGER                                -- NULL while it has not ended
) STRICT, WITHOUT ROWID;

INSERT INTO lease (lease_id, account_id, slot, mode, token, holder, purpose, task_id, turn_id, replica, until,
                   grant_us, end_us)
SELECT lease_id, account_id,
       coalesce((SELECT number FROM slot
                  WHERE slot.account_id = lease_before.account_id AND slot.lease_id = lease_before.lease_id), 0),
       mode, token, holder, purpose, task_id, turn_id, replica, until, grant_us, end_us
  FROM lease_before;

DROP TABLE lease_before;
CREATE INDEX lease_live ON lease (account_id) WHERE end_us IS NULL;
CREATE INDEX lease_ended ON lease (end_us) WHERE end_us IS NOT NULL;

ALTER TABLE task ADD COLUMN slot INTEGER NOT NULL DEFAULT 0; -- its number while the task is active
UPDATE task SET slot = slot.number FROM slot
 WHERE slot.account_id = task.account_id AND slot.task_id = task.task_id;

DROP INDEX slot_lease;
DROP INDEX slot_task;
CREATE INDEX slot_free ON slot (account_id, number) WHERE lease_id = '' AND task_id = '';

DROP INDEX conversation_task; -- no query goes by it

-- A conversation with what becomes of its task: its state is nowhere written. 1 is running, 2 idle, 3 dormant
-- (howler.conversation.v1.ConversationState).
CREATE VIEW conversation_now AS
SELECT conversation.*,
       CASE WHEN lease.lease_id IS NOT NULL OR task.busy = 1 THEN 1
            WHEN task.task_id IS NOT NULL THEN 2
            ELSE 3 END AS state,
       CASE WHEN lease.lease_id IS NOT NULL THEN claim_turn
            WHEN task.busy = 1 THEN task.turn_id
            ELSE conversation.turn_id END AS newest_turn,
       CASE WHEN task.turn_id = conversation.turn_id THEN 1 ELSE 0 END AS settled,
       task.last_used_us AS task_used_us
  FROM conversation
  LEFT JOIN lease ON lease.lease_id = conversation.claim_lease AND lease.end_us IS NULL
  LEFT JOIN task ON task.task_id = conversation.task_id AND task.end_us IS NULL;
