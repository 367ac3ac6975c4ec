-- name: add_turn
-- A turn that is about to run; again when it is about to run on another account.
INSERT INTO turn (turn_id, task_id, account_id, lease_id, conversation_id, principal, model, start, durable, key,
                  digest, replica, create_us, end_reason, prompt, held_task_id, active_at)
VALUES (:turn_id, :task_id, :account_id, :lease_id, :conversation_id, :principal, :model, :start, :durable, :key,
        :digest, :replica, :create_us, 0, :prompt, :held_task_id, :active_at)
ON CONFLICT (turn_id) DO UPDATE SET account_id = excluded.account_id, lease_id = excluded.lease_id;

-- name: add_span
-- A span of the log of a turn that is this replica's.
INSERT INTO turn_span (turn_id, first_seq, count, events)
SELECT :turn_id, :first_seq, :count, :events
 WHERE EXISTS (SELECT 1 FROM turn WHERE turn_id = :turn_id AND replica = :replica)
ON CONFLICT (turn_id, first_seq) DO UPDATE SET count = excluded.count, events = excluded.events;

-- name: change_turn
-- What became of a turn that is this replica's.
UPDATE turn SET task_id = :task_id, model = :model, end_us = :end_us, end_reason = :end_reason
 WHERE turn_id = :turn_id AND replica = :replica;

-- name: forget_spans
-- The logs of turns (a JSON list).
DELETE FROM turn_span WHERE turn_id IN (SELECT value FROM json_each(:turns));

-- name: forget_turns
-- The turns themselves.
DELETE FROM turn WHERE turn_id IN (SELECT value FROM json_each(:turns));

-- name: old_turns
-- Turns that nobody may ask for any more.
SELECT turn_id FROM (
  SELECT turn_id FROM turn WHERE end_us < :ended_us
   UNION
  SELECT turn_id FROM turn WHERE durable = 0 AND create_us < :made_us
) LIMIT :limit;
