-- name: record_leased_task
-- A task made under a lease that has not ended, nor got a task before: both are in the lease's slot then.
-- Nobody need hear: the slot is as taken as before.
WITH bound AS (
  UPDATE lease SET task_id = :task_id
   WHERE lease_id = :lease_id AND end_us IS NULL AND task_id IN ('', :task_id)
  RETURNING account_id, lease_id
), taken AS (
  UPDATE slot SET task_id = :task_id FROM bound
   WHERE slot.account_id = bound.account_id AND slot.lease_id = bound.lease_id
  RETURNING slot.account_id
), recorded AS (
  INSERT INTO task (task_id, account_id, model, principal, turn_id, busy, create_us, last_used_us)
  SELECT :task_id, account_id, :model, :principal, :turn_id, 1, :create_us, :last_used_us FROM taken
  ON CONFLICT (task_id) DO UPDATE
     SET turn_id = excluded.turn_id, last_used_us = excluded.last_used_us, busy = 1, end_us = NULL
  RETURNING account_id
)
SELECT account_id FROM recorded;

-- name: record_task
-- A task without such a lease takes a free slot of its account, else one beyond the limit; it may have one. It
-- has ended where its account is forgotten; who is about to forget it waits, or is waited for.
WITH known AS (
  SELECT account_id FROM account WHERE account_id = :account_id FOR KEY SHARE
), own AS (
  SELECT account_id, number FROM slot
   WHERE account_id = :account_id AND task_id = :task_id
), free AS (
  SELECT account_id, number
    FROM slot
   WHERE account_id = :account_id AND lease_id = '' AND task_id = '' AND NOT EXISTS (SELECT FROM own)
   ORDER BY number
   LIMIT 1
     FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE slot SET task_id = :task_id FROM free
   WHERE slot.account_id = free.account_id AND slot.number = free.number
), more AS (
  INSERT INTO slot (account_id, number, task_id)
  SELECT account.account_id, coalesce((SELECT max(number) FROM slot WHERE account_id = :account_id), 0) + 1, :task_id
    FROM known AS account
   WHERE NOT EXISTS (SELECT FROM own) AND NOT EXISTS (SELECT FROM free)
), recorded AS (
  INSERT INTO task (task_id, account_id, model, principal, turn_id, busy, create_us, last_used_us, end_us)
  SELECT :task_id, :account_id, :model, :principal, :turn_id, count(*), :create_us, :last_used_us,
         CASE count(*) WHEN 0 THEN :last_used_us :: BIGINT END
    FROM known
  ON CONFLICT (task_id) DO UPDATE
     SET turn_id = excluded.turn_id, last_used_us = excluded.last_used_us, busy = excluded.busy,
         end_us = excluded.end_us
  RETURNING account_id
)
SELECT pg_notify('howler', :replica || ',' || account_id) FROM recorded;

-- name: end_task
-- A task was stopped, or the platform ended it: its slot is free, whoever has a lease on it.
WITH freed AS (
  UPDATE slot SET task_id = '', lease_id = ''
   WHERE account_id = (SELECT account_id FROM task WHERE task_id = :task_id) AND task_id = :task_id
  RETURNING number
), ended AS (
  UPDATE task SET end_us = :now_us, busy = 0
   WHERE task_id = :task_id AND end_us IS NULL AND (SELECT count(*) FROM freed) >= 0
  RETURNING account_id
)
SELECT pg_notify('howler', :replica || ',' || account_id) FROM ended;
