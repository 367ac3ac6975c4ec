-- name: grant_slot
-- An exclusive lease, if a slot of the account is free and open. What decides is asked of the rows once they
-- are locked: of the slot, which nobody waits for, then of the account.
WITH free AS (
  SELECT account_id, number
    FROM slot
   WHERE account_id = :account_id AND lease_id = '' AND task_id = '' AND closed_until <= :now
     AND number <= (SELECT CASE slots WHEN 0 THEN :default_slots ELSE slots END
                      FROM account WHERE account_id = :account_id)
   ORDER BY number
   LIMIT 1
     FOR UPDATE SKIP LOCKED
), granted AS (
  UPDATE account
     SET token = token + 1, last_used_us = :now_us
    FROM free
   WHERE account.account_id = free.account_id AND account.enabled = 1 AND account.state IN (1, 2)
     AND free.number <= CASE account.slots WHEN 0 THEN :default_slots ELSE account.slots END
  RETURNING account.account_id, account.token, free.number
), taken AS (
  UPDATE slot SET lease_id = :lease_id
    FROM granted
   WHERE slot.account_id = granted.account_id AND slot.number = granted.number
), made AS (
  INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, replica, until, grant_us)
  SELECT :lease_id, account_id, :mode, token, :holder, :purpose, '', :replica, :now + :ttl_us, :now_us
    FROM granted
)
SELECT token, pg_notify('howler', :replica || ',' || account_id) FROM granted;

-- name: grant_task
-- An exclusive lease on an active task, in the task's slot, if no lease is on it. A task that was left in the
-- middle of a turn may be seen to on an account that is disabled, too.
WITH own AS (
  SELECT account_id, number
    FROM slot
   WHERE account_id = :account_id AND task_id = :task_id AND lease_id = ''
     FOR UPDATE
), granted AS (
  UPDATE account
     SET token = token + 1, last_used_us = :now_us
    FROM own
   WHERE account.account_id = own.account_id AND account.state IN (1, 2)
     AND (account.enabled = 1 OR EXISTS (SELECT FROM task WHERE task_id = :task_id AND busy = 1))
  RETURNING account.account_id, account.token, own.number
), taken AS (
  UPDATE slot SET lease_id = :lease_id
    FROM granted
   WHERE slot.account_id = granted.account_id AND slot.number = granted.number
), made AS (
  INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, replica, until, grant_us)
  SELECT :lease_id, account_id, :mode, token, :holder, :purpose, :task_id, :replica, :now + :ttl_us, :now_us
    FROM granted
)
SELECT token, pg_notify('howler', :replica || ',' || account_id) FROM granted;

-- name: grant_tasks
-- The same for many tasks: of each its columns, in arrays. Rows of a kind are locked in their order.
WITH asked AS (
  SELECT *
    FROM unnest(:lease_id :: TEXT [], :account_id :: TEXT [], :mode :: INTEGER [], :holder :: TEXT [],
                :purpose :: TEXT [], :task_id :: TEXT [])
      AS asked (lease_id, account_id, mode, holder, purpose, task_id)
), own AS (
  SELECT slot.number, asked.*
    FROM slot JOIN asked ON asked.account_id = slot.account_id AND asked.task_id = slot.task_id
   WHERE slot.lease_id = ''
   ORDER BY slot.account_id, slot.number
     FOR UPDATE OF slot
), usable AS (
  SELECT account_id, enabled
    FROM account
   WHERE account_id IN (SELECT account_id FROM own) AND state IN (1, 2)
   ORDER BY account_id
     FOR UPDATE
), free AS (
  SELECT own.*, row_number() OVER (PARTITION BY own.account_id ORDER BY own.number) AS nth
    FROM own JOIN usable ON usable.account_id = own.account_id
   WHERE usable.enabled = 1
      OR EXISTS (SELECT FROM task WHERE task.task_id = own.task_id AND task.busy = 1)
), granted AS (
  UPDATE account
     SET token = token + wanted.count, last_used_us = :now_us
    FROM (SELECT account_id, count(*) AS count FROM free GROUP BY account_id) AS wanted
   WHERE account.account_id = wanted.account_id
  RETURNING account.account_id, account.token - wanted.count AS before,
            pg_notify('howler', :replica || ',' || account.account_id)
), taken AS (
  UPDATE slot SET lease_id = free.lease_id
    FROM free
   WHERE slot.account_id = free.account_id AND slot.number = free.number
)
INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, replica, until, grant_us)
SELECT lease_id, free.account_id, mode, before + nth, holder, purpose, task_id, :replica, :now + :ttl_us, :now_us
  FROM free JOIN granted ON granted.account_id = free.account_id
RETURNING task_id, token;

-- name: granted_tasks
-- The tokens of leases that have not ended. See `granted`.
SELECT task_id, token FROM lease WHERE lease_id = ANY(:lease_id :: TEXT []) AND end_us IS NULL;

-- name: grant_shared
-- A shared lease: takes no slot, and nobody need hear of it.
WITH granted AS (
  UPDATE account
     SET token = token + 1, last_used_us = :now_us
   WHERE account_id = :account_id AND enabled = 1 AND state IN (1, 2)
  RETURNING account_id, token
), made AS (
  INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, replica, until, grant_us)
  SELECT :lease_id, account_id, :mode, token, :holder, :purpose, '', :replica, :now + :ttl_us, :now_us
    FROM granted
)
SELECT token FROM granted;

-- name: granted
-- The token of a lease that has not ended: what a grant asks whose first try may have been carried out.
SELECT token FROM lease WHERE lease_id = :lease_id AND end_us IS NULL;

-- name: renew
-- The leases that had not lapsed get a new end. They are locked in the order of their ids, as everywhere.
WITH asked AS (
  SELECT lease_id, ttl_us FROM unnest(:leases :: TEXT [], :ttls_us :: BIGINT []) AS asked (lease_id, ttl_us)
), live AS (
  SELECT lease.lease_id, asked.ttl_us
    FROM lease JOIN asked ON asked.lease_id = lease.lease_id
   WHERE lease.end_us IS NULL AND lease.until > :now
   ORDER BY lease.lease_id
     FOR UPDATE OF lease
)
UPDATE lease SET until = :now + live.ttl_us
  FROM live
 WHERE lease.lease_id = live.lease_id
RETURNING lease.lease_id,
          CASE WHEN lease.replica <> :replica THEN pg_notify('howler', :replica || ',' || account_id) END;

-- name: claim
-- This replica answers for a lease from now on and runs a turn on it, if no other turn runs on it or its task.
UPDATE lease SET replica = :replica, turn_id = :turn_id
 WHERE lease_id = :lease_id AND end_us IS NULL AND until > :now
   AND task_id = :task_id AND turn_id IN ('', :turn_id)
   AND NOT EXISTS (SELECT FROM task WHERE task.task_id = lease.task_id AND task.busy = 1 AND task.end_us IS NULL)
RETURNING (until - :now) / 1e6 :: FLOAT8 AS left_s, pg_notify('howler', :replica || ',' || account_id);

-- name: unclaim
-- The turn on a lease is over, and its task rests.
WITH own AS (
  UPDATE lease SET turn_id = '' WHERE lease_id = :lease_id AND turn_id = :turn_id AND end_us IS NULL
  RETURNING task_id
)
UPDATE task SET busy = 0, last_used_us = :now_us FROM own WHERE task.task_id = own.task_id AND task.end_us IS NULL;

-- name: release
-- A lease that its caller gives back has ended; where another replica may run a turn on it, or this one does, it
-- has only lapsed, and who runs the turn ends it.
WITH given AS (
  UPDATE lease
     SET end_us = CASE WHEN turn_id = '' AND (replica = :replica OR NOT EXISTS (
                              SELECT FROM task WHERE task.task_id = lease.task_id AND task.busy = 1))
                       THEN :now_us :: BIGINT END,
         until = least(until, :now)
   WHERE lease_id = :lease_id AND end_us IS NULL
  RETURNING account_id, task_id, end_us, pg_notify('howler', :replica || ',' || account_id)
), ended AS (
  SELECT account_id, task_id FROM given WHERE end_us IS NOT NULL
), freed AS (
  UPDATE slot SET lease_id = '' FROM ended
   WHERE slot.account_id = ended.account_id AND slot.lease_id = :lease_id
  RETURNING number
), rested AS (
  UPDATE task SET busy = 0, last_used_us = :now_us FROM ended
   WHERE task.task_id = ended.task_id AND task.end_us IS NULL
     AND (SELECT count(*) FROM freed) >= 0 -- the slot is locked before its task, as everywhere
)
SELECT end_us IS NOT NULL AS ended FROM given;

-- name: lapse
-- A lease of this replica that has lapsed is ended; its task stays as busy as it is.
WITH ended AS (
  UPDATE lease SET end_us = :now_us
   WHERE lease_id = :lease_id AND replica = :replica AND end_us IS NULL AND until <= :now
  RETURNING account_id, lease_id, pg_notify('howler', :replica || ',' || account_id)
), freed AS (
  UPDATE slot SET lease_id = '' FROM ended
   WHERE slot.account_id = ended.account_id AND slot.lease_id = ended.lease_id
)
SELECT EXISTS (SELECT FROM ended)
    OR NOT EXISTS (SELECT FROM lease WHERE lease_id = :lease_id AND end_us IS NULL) AS over;

-- name: reclaim
-- The leases whose slots may be reclaimed are ended, the cooldowns that are over dropped. What another
-- replica is about to do to one is not waited for.
WITH late AS (
  SELECT lease_id FROM lease
   WHERE end_us IS NULL AND until + :reclaim_us <= :now
   ORDER BY lease_id
     FOR UPDATE SKIP LOCKED
), ended AS (
  UPDATE lease SET end_us = :now_us FROM late WHERE lease.lease_id = late.lease_id
  RETURNING lease.account_id, lease.lease_id
), freed AS (
  UPDATE slot SET lease_id = '' FROM ended
   WHERE slot.account_id = ended.account_id AND slot.lease_id = ended.lease_id
), over AS (
  DELETE FROM cooldown WHERE until <= :now RETURNING account_id
), changed AS (
  SELECT account_id FROM ended UNION SELECT account_id FROM over
)
SELECT account_id, pg_notify('howler', :replica || ',' || account_id) FROM changed;

-- name: end_lease
-- A lease is over: its slot is free, or its task's, which rests; a task may end with it. The slot of one that
-- had none may stay closed for a while.
WITH ended AS (
  DELETE FROM lease WHERE lease_id = :lease_id AND end_us IS NULL
  RETURNING account_id, mode, task_id
), freed AS (
  UPDATE slot
     SET lease_id = '',
         task_id = CASE task_id WHEN :ended_task THEN '' ELSE task_id END,
         closed_until = CASE WHEN task_id = '' AND :close_us :: BIGINT > 0 THEN :now + :close_us ELSE closed_until END
   WHERE account_id IN (SELECT account_id FROM ended
                         UNION SELECT account_id FROM task WHERE task_id = :ended_task)
     AND (lease_id = :lease_id OR (:ended_task <> '' AND task_id = :ended_task))
  RETURNING number
), rested AS (
  UPDATE task
     SET busy = 0, last_used_us = :now_us, end_us = CASE task_id WHEN :ended_task THEN :now_us :: BIGINT END
   WHERE task_id IN (SELECT task_id FROM ended UNION SELECT :ended_task)
     AND end_us IS NULL
     AND (SELECT count(*) FROM freed) >= 0 -- the slot is locked before its task, as everywhere
  RETURNING account_id, end_us
)
SELECT pg_notify('howler', :replica || ',' || account_id)
  FROM (SELECT account_id FROM ended WHERE mode = 2
         UNION SELECT account_id FROM rested WHERE end_us IS NOT NULL) AS changed;

-- name: end_tasks
-- Tasks that were stopped are over, and the leases on them. Rows of a kind are locked in their order.
WITH asked AS (
  SELECT * FROM unnest(:tasks :: TEXT [], :leases :: TEXT []) AS asked (task_id, lease_id)
), live AS (
  SELECT lease.lease_id
    FROM lease JOIN asked ON asked.lease_id = lease.lease_id
   WHERE lease.end_us IS NULL
   ORDER BY lease.lease_id
     FOR UPDATE OF lease
), forgotten AS (
  DELETE FROM lease USING live WHERE lease.lease_id = live.lease_id
  RETURNING lease.account_id
), own AS (
  SELECT slot.account_id, slot.number
    FROM asked JOIN task ON task.task_id = asked.task_id
               JOIN slot ON slot.account_id = task.account_id AND slot.task_id = task.task_id
   WHERE (SELECT count(*) FROM forgotten) >= 0 -- leases are locked before slots, slots before tasks
   ORDER BY slot.account_id, slot.number
     FOR UPDATE OF slot
), freed AS (
  UPDATE slot SET lease_id = '', task_id = ''
    FROM own
   WHERE slot.account_id = own.account_id AND slot.number = own.number
  RETURNING slot.number
), active AS (
  SELECT task.task_id
    FROM task JOIN asked ON asked.task_id = task.task_id
   WHERE task.end_us IS NULL AND (SELECT count(*) FROM freed) >= 0
   ORDER BY task.task_id
     FOR UPDATE OF task
), ended AS (
  UPDATE task SET busy = 0, end_us = :now_us
    FROM active
   WHERE task.task_id = active.task_id
  RETURNING task.account_id
)
SELECT pg_notify('howler', :replica || ',' || account_id)
  FROM (SELECT account_id FROM forgotten UNION SELECT account_id FROM ended) AS changed;
