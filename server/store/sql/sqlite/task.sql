-- name: bind_lease
-- The task made under a lease takes its slot over.
UPDATE lease SET task_id = :task_id WHERE lease_id = :lease_id;

-- name: put_task
-- A task that was made on the platform, with a turn on it; it has ended where its account is forgotten.
INSERT INTO task (task_id, account_id, slot, model, principal, turn_id, busy, create_us, last_used_us, end_us)
VALUES (:task_id, :account_id, :slot, :model, :principal, :turn_id, :busy, :create_us, :last_used_us, :end_us)
ON CONFLICT (task_id) DO UPDATE
   SET slot = excluded.slot, turn_id = excluded.turn_id, last_used_us = excluded.last_used_us, busy = excluded.busy,
       end_us = excluded.end_us;

-- name: slot_to_task
-- The slot of the lease is the task's as well.
UPDATE slot SET task_id = :task_id
 WHERE account_id = :account_id AND number = :slot AND lease_id = :lease_id;

-- name: former_slot_free
-- A task that was recorded under another lease before has one slot: the one of this lease.
UPDATE slot SET task_id = '', lease_id = ''
  FROM task
 WHERE task.task_id = :task_id AND task.slot <> :slot
   AND slot.account_id = task.account_id AND slot.number = task.slot AND slot.task_id = task.task_id;

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

-- name: active_task
-- A task that has not ended.
SELECT account_id, slot FROM task WHERE task_id = :task_id AND end_us IS NULL;

-- name: end_task
-- A task was stopped, or the platform ended it.
UPDATE task SET end_us = :now_us, busy = 0 WHERE task_id = :task_id;

-- name: end_tasks_of_account
-- The account is forgotten, and nobody can use the tasks in its slots.
UPDATE task SET end_us = :now_us, busy = 0
 WHERE task_id IN (SELECT task_id FROM slot WHERE account_id = :account_id AND task_id <> '');

-- name: slot_of_task_free
-- The slot of a task that has ended is free, whoever has a lease on it.
UPDATE slot SET task_id = '', lease_id = ''
 WHERE account_id = :account_id AND number = :slot AND task_id = :task_id;
