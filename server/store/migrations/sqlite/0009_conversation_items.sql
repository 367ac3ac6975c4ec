-- Conversations by the name that their caller gives them, and what is added to them beside their turns.

ALTER TABLE conversation ADD COLUMN session TEXT NOT NULL DEFAULT '';   -- StartTurn.session; '' for none
CREATE INDEX conversation_session ON conversation (principal, session) WHERE session <> '';

CREATE TABLE conversation_item (
  conversation_id TEXT    NOT NULL,
  item_id         TEXT    NOT NULL,
  number          INTEGER NOT NULL,                 -- in the order in which they were added
  item            TEXT,                             -- NULL for one that stands in a turn's log and was deleted
  PRIMARY KEY (conversation_id, item_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE response ADD COLUMN items_heard INTEGER NOT NULL DEFAULT 0;   -- the last item that its turn was told
CREATE INDEX response_conversation ON response (conversation_id) WHERE conversation_id <> '';
