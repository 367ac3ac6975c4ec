-- Conversations, and what was said in those that keep it. `…_us` are microseconds since 1970, for records.

CREATE TABLE conversation (
  conversation_id TEXT    PRIMARY KEY,
  principal       TEXT    NOT NULL,
  model           TEXT    NOT NULL,                 -- '' until a turn ran in it
  instructions    TEXT    NOT NULL,                 -- their digest
  told            TEXT    NOT NULL,                 -- the instructions, where it keeps what was said
  keeps           INTEGER NOT NULL CHECK (keeps IN (0, 1)),
  thread          TEXT    NOT NULL,                 -- of all that was said (server/conversation/thread.py)
  task_id         TEXT    NOT NULL,                 -- where its last turn ran; '' where that left none
  turn_id         TEXT    NOT NULL,                 -- the last turn whose words are in the thread
  turns           INTEGER NOT NULL,
  claim_lease     TEXT    NOT NULL DEFAULT '',      -- of a turn that makes it a new task, while the lease lives
  claim_turn      TEXT    NOT NULL DEFAULT '',
  metadata        TEXT    NOT NULL,                 -- JSON
  create_us       INTEGER NOT NULL,
  last_used_us    INTEGER NOT NULL
) STRICT;

CREATE INDEX conversation_left ON conversation (thread);
CREATE INDEX conversation_task ON conversation (task_id) WHERE task_id <> '';
CREATE INDEX conversation_recent ON conversation (last_used_us DESC, conversation_id DESC);

-- What each turn added, or (0) what was said before the first: howler.task.v1.Transcript.
CREATE TABLE conversation_said (
  conversation_id TEXT    NOT NULL,
  number          INTEGER NOT NULL,
  messages        BLOB    NOT NULL,
  PRIMARY KEY (conversation_id, number)
) STRICT, WITHOUT ROWID;

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
