-- name: renew_replica
-- A process lives, and is reached at an address.
INSERT INTO replica (name, address, until) VALUES (:name, :address, :now + :ttl_us)
ON CONFLICT (name) DO UPDATE SET address = excluded.address, until = excluded.until;

-- name: leave_replica
-- A process has ended.
DELETE FROM replica WHERE name = :name;

-- name: forget_replicas
-- The others that lapsed some time ago.
DELETE FROM replica WHERE until + :ttl_us < :now AND name <> :name RETURNING name;

-- name: owner_of_turn
-- Who runs a turn: by its record where it is durable, else by the lease on its task; and where that is.
SELECT runs.replica, coalesce(replica.address, '') AS address, replica.name IS NOT NULL AS alive
  FROM (SELECT turn.replica FROM turn WHERE turn.turn_id = :turn_id AND turn.durable = 1 AND turn.end_us IS NULL
        UNION ALL
        SELECT lease.replica
          FROM task
          JOIN lease ON lease.account_id = task.account_id AND lease.task_id = task.task_id AND lease.end_us IS NULL
         WHERE task.turn_id = :turn_id AND task.busy = 1 AND task.end_us IS NULL) AS runs
  LEFT JOIN replica ON replica.name = runs.replica AND replica.until > :now
 LIMIT 1;

-- name: owner_of_task
-- Who runs a turn on a task, and where that is.
SELECT lease.replica, coalesce(replica.address, '') AS address, replica.name IS NOT NULL AS alive
  FROM task
  JOIN lease ON lease.account_id = task.account_id AND lease.task_id = task.task_id AND lease.end_us IS NULL
  LEFT JOIN replica ON replica.name = lease.replica AND replica.until > :now
 WHERE task.task_id = :task_id AND task.busy = 1 AND task.end_us IS NULL
 LIMIT 1;
