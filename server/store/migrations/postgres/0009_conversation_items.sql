-- Conversations by the name that their caller gives them, and what is added to them beside their turns.

ALTER TABLE conversation ADD COLUMN session TEXT NOT NULL DEFAULT '';   -- StartTurn.session; '' for none
CREATE INDEX conversation_session ON conversation (principal, session) WHERE session <> '';

CREATE TABLE conversation_item (
  conversation_id TEXT    NOT NULL,
  item_id         TEXT    NOT NULL,
  number          BIGINT  NOT NULL,                 -- in the order in which they were added
  item            TEXT,                             -- NULL for one that stands in a turn's log and was deleted
  PRIMARY KEY (conversation_id, item_id)
);

ALTER TABLE response ADD COLUMN items_heard BIGINT NOT NULL DEFAULT 0;   -- the last item that its turn was told
CREATE INDEX response_conversation ON response (conversation_id) WHERE conversation_id <> '';

-- Its `conversation.*` was spelled out when it was made.
DROP VIEW conversation_now;
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
