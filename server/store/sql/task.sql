-- name: touch_task
-- A turn begins on a task.
UPDATE task SET turn_id = :turn_id, last_used_us = :now_us, busy = 1 WHERE task_id = :task_id;

-- name: rest_task
-- The turn on a task is over.
UPDATE task SET last_used_us = :now_us, busy = 0 WHERE task_id = :task_id AND end_us IS NULL;

-- name: get_task
-- One task; running while it is busy.
SELECT task_id, account_id, model, principal, turn_id, create_us, last_used_us,
       CASE WHEN end_us IS NOT NULL THEN 3 WHEN busy = 1 THEN 1 ELSE 2 END AS state
  FROM task
 WHERE task_id = :task_id;

-- name: list_tasks
-- Tasks by last use, newest first, from behind (after_us, after_id); '' and 0 filter nothing.
SELECT * FROM (
  SELECT task_id, account_id, model, principal, turn_id, create_us, last_used_us,
         CASE WHEN end_us IS NOT NULL THEN 3 WHEN busy = 1 THEN 1 ELSE 2 END AS state
    FROM task
   WHERE (:principal = '' OR principal = :principal)
     AND (CAST(:after_us AS BIGINT) IS NULL OR (last_used_us, task_id) < (:after_us, :after_id))
) AS listed
 WHERE :state = 0 OR state = :state
 ORDER BY last_used_us DESC, task_id DESC
 LIMIT :limit;
