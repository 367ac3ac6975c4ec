-- name: grant_slot
-- An exclusive lease, if a slot of the account is free: neither an active task's nor another lease's.
INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, grant_us)
SELECT :lease_id, account.account_id, :mode, account.token + 1, :holder, :purpose, '', :now_us
  FROM account
 WHERE account.account_id = :account_id
   AND account.enabled = 1
   AND account.state IN (1, 2)
   AND :slots > (SELECT count(*) FROM task
                  WHERE task.account_id = account.account_id AND task.end_us IS NULL)
              + (SELECT count(*) FROM lease AS other
                  WHERE other.account_id = account.account_id AND other.end_us IS NULL
                    AND other.mode = 2 AND other.task_id = '')
RETURNING token;

-- name: grant_task
-- An exclusive lease on an active task, which has its slot, if no live lease is on it.
INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, grant_us)
SELECT :lease_id, account.account_id, :mode, account.token + 1, :holder, :purpose, task.task_id, :now_us
  FROM task JOIN account ON account.account_id = task.account_id
 WHERE task.task_id = :task_id
   AND task.end_us IS NULL
   AND account.enabled = 1
   AND account.state IN (1, 2)
   AND NOT EXISTS (SELECT 1 FROM lease AS other
                    WHERE other.task_id = task.task_id AND other.end_us IS NULL)
RETURNING token;

-- name: grant_shared
-- A shared lease: takes no slot, however many there are.
INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, grant_us)
SELECT :lease_id, account.account_id, :mode, account.token + 1, :holder, :purpose, '', :now_us
  FROM account
 WHERE account.account_id = :account_id
   AND account.enabled = 1
   AND account.state IN (1, 2)
RETURNING token;

-- name: bind_lease
-- The task made under a live lease takes its slot over.
UPDATE lease SET task_id = :task_id WHERE lease_id = :lease_id AND end_us IS NULL;

-- name: end_lease
-- A lease was released or lapsed.
UPDATE lease SET end_us = :now_us WHERE lease_id = :lease_id AND end_us IS NULL RETURNING task_id;

-- name: end_leases_of_account
-- The account is forgotten.
UPDATE lease SET end_us = :now_us WHERE account_id = :account_id AND end_us IS NULL;

-- name: void_leases
-- Leases of an earlier process: nobody can hold them any more.
UPDATE lease SET end_us = :now_us WHERE end_us IS NULL;

-- name: forget_leases
-- Ended leases that nobody will ask for.
DELETE FROM lease WHERE end_us < :before_us;

-- name: lease_token
-- The token of a lease, live or ended.
SELECT token FROM lease WHERE lease_id = :lease_id;
