-- name: get_turn
-- One turn and the seq of its newest event.
SELECT turn.*,
       coalesce((SELECT first_seq + count - 1 FROM turn_span
                  WHERE turn_span.turn_id = turn.turn_id ORDER BY first_seq DESC LIMIT 1), 0) AS last_seq
  FROM turn
 WHERE turn_id = :turn_id;

-- name: turn_by_key
-- The newest durable turn that was started with this key, if it runs or ended lately.
SELECT turn.*,
       coalesce((SELECT first_seq + count - 1 FROM turn_span
                  WHERE turn_span.turn_id = turn.turn_id ORDER BY first_seq DESC LIMIT 1), 0) AS last_seq
  FROM turn
 WHERE principal = :principal AND key = :key AND key <> '' AND durable = 1
   AND (end_us IS NULL OR end_us >= :since_us)
 ORDER BY create_us DESC
 LIMIT 1;

-- name: read_spans
-- The log from the span that holds an event on: one span, and more up to a size in bytes.
SELECT first_seq, count, events
  FROM (SELECT first_seq, count, events,
               sum(length(events)) OVER (ORDER BY first_seq) - length(events) AS before
          FROM turn_span
         WHERE turn_id = :turn_id
           AND first_seq >= (SELECT max(first_seq) FROM turn_span
                              WHERE turn_id = :turn_id AND first_seq <= :seq)
         ORDER BY first_seq
         LIMIT 256) AS spans
 WHERE before < CAST(:size AS BIGINT)
 ORDER BY first_seq;

-- name: stray_turns
-- Running turns that nothing holds: no lease, and no task in whose name one could be had.
SELECT turn_id, replica
  FROM turn
 WHERE end_us IS NULL AND durable = 1
   AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.lease_id = turn.lease_id AND lease.end_us IS NULL)
   AND NOT EXISTS (SELECT 1 FROM task
                    WHERE task.account_id = turn.account_id AND task.turn_id = turn.turn_id
                      AND task.busy = 1 AND task.end_us IS NULL);

-- name: claim_turn
-- A running turn is another replica's from now on, if nobody was first.
UPDATE turn SET replica = :replica, account_id = :account_id, lease_id = :lease_id
 WHERE turn_id = :turn_id AND end_us IS NULL AND durable = 1 AND replica = :of
RETURNING turn_id;
