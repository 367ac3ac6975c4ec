-- name: record_task
-- A task that was made on the platform.
INSERT INTO task (task_id, account_id, model, principal, turn_id, create_us, last_used_us)
VALUES (:task_id, :account_id, :model, :principal, :turn_id, :create_us, :last_used_us)
ON CONFLICT (task_id) DO UPDATE
   SET turn_id = excluded.turn_id, last_used_us = excluded.last_used_us, end_us = NULL;

-- name: touch_task
-- A turn begins on a task.
UPDATE task SET turn_id = :turn_id, last_used_us = :now_us WHERE task_id = :task_id;

-- name: use_task
-- A turn ended on a task.
UPDATE task SET last_used_us = :now_us WHERE task_id = :task_id;

-- name: end_task
-- A task was stopped, or the platform ended it.
UPDATE task SET end_us = :now_us WHERE task_id = :task_id AND end_us IS NULL;

-- name: end_tasks_of_account
-- The account is forgotten, and nobody can use its tasks.
UPDATE task SET end_us = :now_us WHERE account_id = :account_id AND end_us IS NULL;

-- name: get_task
-- One task; running while a live lease is bound to it.
SELECT task.task_id, task.account_id, task.model, task.principal, task.turn_id, task.create_us, task.last_used_us,
       CASE WHEN task.end_us IS NOT NULL THEN 3
            WHEN EXISTS (SELECT 1 FROM lease WHERE lease.task_id = task.task_id AND lease.end_us IS NULL) THEN 1
            ELSE 2 END AS state
  FROM task
 WHERE task.task_id = :task_id;

-- name: list_tasks
-- Tasks by last use, newest first, from behind (after_us, after_id); '' and 0 filter nothing.
SELECT * FROM (
  SELECT task.task_id, task.account_id, task.model, task.principal, task.turn_id, task.create_us, task.last_used_us,
         CASE WHEN task.end_us IS NOT NULL THEN 3
              WHEN EXISTS (SELECT 1 FROM lease WHERE lease.task_id = task.task_id AND lease.end_us IS NULL) THEN 1
              ELSE 2 END AS state
    FROM task
   WHERE (:principal = '' OR task.principal = :principal)
     AND (:after_us IS NULL OR (task.last_used_us, task.task_id) < (:after_us, :after_id))
) AS listed
 WHERE :state = 0 OR state = :state
 ORDER BY last_used_us DESC, task_id DESC
 LIMIT :limit;

-- name: active_tasks
-- The tasks that hold slots, the one idle longest first; running while a live lease is bound to one.
SELECT task_id, account_id, model, principal, turn_id, create_us, last_used_us,
       CASE WHEN EXISTS (SELECT 1 FROM lease WHERE lease.task_id = task.task_id AND lease.end_us IS NULL) THEN 1
            ELSE 2 END AS state
  FROM task
 WHERE end_us IS NULL
 ORDER BY last_used_us, task_id;
