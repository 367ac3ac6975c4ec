-- name: add_conversation
-- A conversation without a turn; perhaps a turn has claimed it already.
INSERT INTO conversation (conversation_id, principal, model, instructions, told, keeps, thread, task_id, turn_id,
                          turns, claim_lease, claim_turn, metadata, create_us, last_used_us, session)
VALUES (:conversation_id, :principal, '', :instructions, :told, :keeps, :thread, '', '',
        0, :lease_id, :turn_id, :metadata, :now_us, :now_us, :session)
ON CONFLICT (conversation_id) DO NOTHING;

-- name: keep_said
-- What a turn adds to a conversation that keeps it (0: what was said before the first). A turn that kept its words
-- and then left no other trace is overwritten by the next.
INSERT INTO conversation_said (conversation_id, number, messages)
SELECT :conversation_id, :number, :messages FROM conversation
 WHERE conversation_id = :conversation_id AND turn_id = :before
ON CONFLICT (conversation_id, number) DO UPDATE SET messages = excluded.messages;

-- name: claim_conversation
-- A turn that makes a new task has the conversation for as long as its lease lives.
UPDATE conversation SET claim_lease = :lease_id, claim_turn = :turn_id
 WHERE conversation_id = :conversation_id AND turn_id = :before
   AND (claim_turn = :turn_id
        OR NOT EXISTS (SELECT 1 FROM lease WHERE lease.lease_id = claim_lease AND lease.end_us IS NULL))
   AND NOT EXISTS (SELECT 1 FROM task
                    WHERE task.task_id = conversation.task_id AND task.busy = 1 AND task.end_us IS NULL)
RETURNING conversation_id;

-- name: say
-- A turn is over: what it added is in the thread, its task is the conversation's.
UPDATE conversation
   SET model = :model, instructions = :instructions, told = CASE keeps WHEN 1 THEN :told ELSE '' END,
       thread = :thread, task_id = :task_id, turn_id = :turn_id, turns = :turns,
       claim_lease = '', claim_turn = '', last_used_us = :now_us,
       session = CASE :session WHEN '' THEN session ELSE :session END
 WHERE conversation_id = :conversation_id AND turn_id = :before;

-- name: retell
-- What was said up to a conversation's last turn reads otherwise where it is sent back.
UPDATE conversation SET thread = :thread WHERE conversation_id = :conversation_id AND turn_id = :turn_id;

-- name: retell_left
-- The same for the conversation of a name that was left there.
UPDATE conversation SET thread = :thread
 WHERE thread = :before AND principal = :principal AND session = :session;

-- name: begin_saying
-- The first turn of a conversation that keeps no words is over.
INSERT INTO conversation (conversation_id, principal, model, instructions, told, keeps, thread, task_id, turn_id,
                          turns, metadata, create_us, last_used_us, session)
VALUES (:conversation_id, :principal, :model, :instructions, '', 0, :thread, :task_id, :turn_id,
        :turns, '{}', :now_us, :now_us, :session)
ON CONFLICT (conversation_id) DO NOTHING;

-- name: get_conversation
-- One conversation.
SELECT * FROM conversation_now WHERE conversation_id = :conversation_id;

-- name: conversation_of_session
-- The conversation of a name that was used last.
SELECT * FROM conversation_now
 WHERE principal = :principal AND session = :session AND session <> ''
 ORDER BY last_used_us DESC
 LIMIT 1;

-- name: conversation_said
-- What was said in a conversation, turn by turn.
SELECT messages
  FROM conversation_said
 WHERE conversation_id = :conversation_id
   AND number <= (SELECT turns FROM conversation WHERE conversation_id = :conversation_id)
 ORDER BY number;

-- name: list_conversations
-- Conversations by last use, newest first, from behind (after_us, after_id); '' and 0 filter nothing.
SELECT * FROM conversation_now
 WHERE (:principal = '' OR principal = :principal)
   AND (CAST(:after_us AS BIGINT) IS NULL OR (last_used_us, conversation_id) < (:after_us, :after_id))
   AND (:state = 0 OR state = :state)
 ORDER BY last_used_us DESC, conversation_id DESC
 LIMIT :limit;

-- name: idle_conversations
-- The tasks of conversations that nobody spoke in since then.
SELECT task_id FROM conversation_now WHERE state = 2 AND task_used_us < :before_us;

-- name: delete_conversation
-- A conversation is forgotten.
DELETE FROM conversation WHERE conversation_id = :conversation_id RETURNING task_id;

-- name: delete_said
-- And what was said in it.
DELETE FROM conversation_said WHERE conversation_id = :conversation_id;

-- name: delete_items
-- And what was added to it.
DELETE FROM conversation_item WHERE conversation_id = :conversation_id;

-- name: change_metadata
-- What the caller keeps with a conversation.
UPDATE conversation SET metadata = :metadata WHERE conversation_id = :conversation_id RETURNING conversation_id;

-- name: list_items
-- What was added to a conversation, in order, and the ids of what was deleted (those have no item).
SELECT item_id, number, item FROM conversation_item WHERE conversation_id = :conversation_id ORDER BY number;

-- name: list_unheard
-- What was added to a conversation since its turns were told items last, in order.
SELECT item_id, number, item FROM conversation_item
 WHERE conversation_id = :conversation_id AND item IS NOT NULL
   AND number > (SELECT items_heard FROM conversation WHERE conversation_id = :conversation_id)
 ORDER BY number;

-- name: hear_items
-- A turn was told the items up to one of them.
UPDATE conversation SET items_heard = :items_heard
 WHERE conversation_id = :conversation_id AND principal IN ('', :principal) AND items_heard < :items_heard;

-- name: list_responses
-- The responses that somebody made in a conversation, in order.
SELECT response_id, items_heard FROM response
 WHERE conversation_id = :conversation_id AND principal = :principal AND conversation_id <> ''
 ORDER BY create_us;

-- name: delete_item
-- An item that was added is forgotten.
DELETE FROM conversation_item
 WHERE conversation_id = :conversation_id AND item_id = :item_id AND item IS NOT NULL
RETURNING item_id;

-- name: hide_item
-- An item of a turn's log is deleted.
INSERT INTO conversation_item (conversation_id, item_id, number, item)
VALUES (:conversation_id, :item_id, 0, NULL)
ON CONFLICT (conversation_id, item_id) DO NOTHING;

-- name: forget_conversations
-- Those that keep no words and have no task any more: who resends them begins anew.
DELETE FROM conversation
 WHERE keeps = 0 AND last_used_us < :before_us
   AND NOT EXISTS (SELECT 1 FROM task WHERE task.task_id = conversation.task_id AND task.end_us IS NULL);

-- name: change_model
-- A task runs another model from now on.
UPDATE task SET model = :model WHERE task_id = :task_id;
