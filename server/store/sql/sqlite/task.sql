-- name: bind_lease
-- The task made under a lease that has none takes its slot over.
UPDATE lease SET task_id = :task_id WHERE lease_id = :lease_id AND end_us IS NULL AND task_id = ''
RETURNING account_id, slot;

-- name: put_task
-- A task that was made on the platform, with a turn on it; it has ended where its account is forgotten.
INSERT INTO task (task_id, account_id, slot, model, principal, turn_id, busy, create_us, last_used_us, end_us)
SELECT :task_id, :account_id, :slot, :model, :principal, :turn_id, known, :create_us, :last_used_us,
       CASE known WHEN 0 THEN :last_used_us END
  FROM (SELECT EXISTS (SELECT 1 FROM account WHERE account_id = :account_id) AS known)
 WHERE true
ON CONFLICT (task_id) DO UPDATE
   SET slot = excluded.slot, turn_id = excluded.turn_id, last_used_us = excluded.last_used_us, busy = excluded.busy,
       end_us = excluded.end_us;

-- name: slot_to_task
-- The slot of the lease is the task's as well.
UPDATE slot SET task_id = :task_id
 WHERE account_id = :account_id AND number = :slot AND lease_id = :lease_id;

-- name: slot_of_task
-- The slot that a task has already.
SELECT slot.number
  FROM task JOIN slot ON slot.account_id = task.account_id AND slot.number = task.slot
 WHERE task.task_id = :task_id AND slot.task_id = task.task_id;

-- name: free_slot_to_task
-- A task without a lease takes a free slot, closed or not.
UPDATE slot SET task_id = :task_id
 WHERE account_id = :account_id
   AND number = (SELECT min(number) FROM slot
                  WHERE account_id = :account_id AND lease_id = '' AND task_id = '')
RETURNING number;

-- name: extra_slot_to_task
-- A task that no slot is free for is one too many, and counts.
INSERT INTO slot (account_id, number, task_id)
SELECT :account_id, coalesce(max(number), 0) + 1, :task_id FROM slot
 WHERE account_id = :account_id
HAVING EXISTS (SELECT 1 FROM account WHERE account_id = :account_id)
RETURNING number;

-- name: end_task
-- A task was stopped, or the platform ended it.
UPDATE task SET end_us = :now_us, busy = 0 WHERE task_id = :task_id AND end_us IS NULL RETURNING account_id, slot;

-- name: end_tasks
-- The same for many: `tasks` is JSON.
UPDATE task SET end_us = :now_us, busy = 0
 WHERE task_id IN (SELECT value FROM json_each(:tasks)) AND end_us IS NULL
RETURNING account_id;

-- name: slot_of_task_free
-- The slot of a task that has ended is free, whoever has a lease on it.
UPDATE slot SET task_id = '', lease_id = ''
 WHERE account_id = :account_id AND number = :slot AND task_id = :task_id;

-- name: slots_of_tasks_free
-- The same for many: `tasks` is JSON.
UPDATE slot SET task_id = '', lease_id = ''
  FROM json_each(:tasks) AS ended JOIN task ON task.task_id = ended.value
 WHERE slot.account_id = task.account_id AND slot.number = task.slot AND slot.task_id = task.task_id;
