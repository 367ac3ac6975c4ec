-- name: add_turn
-- A turn that is about to run; again when it is about to run on another account.
INSERT INTO turn (turn_id, task_id, account_id, lease_id, conversation_id, principal, model, start, durable, key,
                  digest, replica, create_us, end_reason, prompt, held_task_id, active_at)
VALUES (:turn_id, :task_id, :account_id, :lease_id, :conversation_id, :principal, :model, :start, :durable, :key,
        :digest, :replica, :create_us, 0, :prompt, :held_task_id, :active_at)
ON CONFLICT (turn_id) DO UPDATE SET account_id = excluded.account_id, lease_id = excluded.lease_id;

-- name: add_spans
-- Spans of the logs of turns that are this replica's, and which turns those are: they stay so until it is done.
WITH own AS (
  SELECT turn_id FROM turn WHERE turn_id = ANY (:turn_ids :: TEXT []) AND replica = :replica
   ORDER BY turn_id
     FOR SHARE
), added AS (
  INSERT INTO turn_span (turn_id, first_seq, count, events)
  SELECT asked.turn_id, asked.first_seq, asked.count, asked.events
    FROM unnest(:turn_ids :: TEXT [], :first_seqs :: BIGINT [], :counts :: INTEGER [], :events :: BYTEA [])
           AS asked (turn_id, first_seq, count, events)
    JOIN own ON own.turn_id = asked.turn_id
  ON CONFLICT (turn_id, first_seq) DO UPDATE SET count = excluded.count, events = excluded.events
)
SELECT turn_id FROM own;

-- name: change_turns
-- What became of turns that are this replica's.
UPDATE turn
   SET task_id = asked.task_id, model = asked.model, end_us = asked.end_us, end_reason = asked.end_reason
  FROM unnest(:turn_ids :: TEXT [], :task_ids :: TEXT [], :models :: TEXT [], :ends_us :: BIGINT [],
              :end_reasons :: INTEGER []) AS asked (turn_id, task_id, model, end_us, end_reason)
 WHERE turn.turn_id = asked.turn_id AND turn.replica = :replica;

-- name: forget_turns
-- Turns and their logs.
WITH gone AS (
  DELETE FROM turn WHERE turn_id = ANY (:turns :: TEXT [])
)
DELETE FROM turn_span WHERE turn_id = ANY (:turns :: TEXT []);

-- name: sweep_turns
-- Turns that nobody may ask for any more, and their logs: some of them.
WITH old AS (
  SELECT turn_id FROM turn
   WHERE end_us < :ended_us OR (durable = 0 AND create_us < :made_us)
   ORDER BY turn_id
   LIMIT :limit
     FOR UPDATE SKIP LOCKED
), spans AS (
  DELETE FROM turn_span USING old WHERE turn_span.turn_id = old.turn_id
)
DELETE FROM turn USING old WHERE turn.turn_id = old.turn_id RETURNING turn.turn_id;
