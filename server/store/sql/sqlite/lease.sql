-- name: free_slot
-- The first slot of a usable account that is free and open, and the token of its next grant.
SELECT slot.number AS slot, account.token + 1 AS token
  FROM slot INDEXED BY slot_free JOIN account ON account.account_id = slot.account_id
 WHERE slot.account_id = :account_id
   AND slot.lease_id = '' AND slot.task_id = '' AND slot.closed_until <= :clock
   AND slot.number <= CASE account.slots WHEN 0 THEN :default_slots ELSE account.slots END
   AND account.enabled = 1 AND account.state IN (1, 2)
 ORDER BY slot.number
 LIMIT 1;

-- name: slot_at_rest
-- The slot of an active task of a usable account, if no lease has it, and the token. A task that was left in the
-- middle of a turn may be seen to on an account that is disabled, too.
SELECT slot.number AS slot, account.token + 1 AS token
  FROM task
  JOIN account ON account.account_id = task.account_id
  JOIN slot ON slot.account_id = task.account_id AND slot.number = task.slot
 WHERE task.task_id = :task_id AND task.account_id = :account_id
   AND slot.task_id = task.task_id AND slot.lease_id = ''
   AND (account.enabled = 1 OR task.busy = 1) AND account.state IN (1, 2);

-- name: no_slot
-- What a shared lease takes of a usable account: no slot, but a token.
SELECT 0 AS slot, token + 1 AS token
  FROM account
 WHERE account_id = :account_id AND enabled = 1 AND state IN (1, 2);

-- name: take_slot
-- A slot goes to a lease.
UPDATE slot SET lease_id = :lease_id WHERE account_id = :account_id AND number = :slot;

-- name: take_token
-- The account was granted once more.
UPDATE account SET token = :token, last_used_us = :now_us WHERE account_id = :account_id;

-- name: add_lease
-- What was granted.
INSERT INTO lease (lease_id, account_id, slot, mode, token, holder, purpose, task_id, replica, until, grant_us)
VALUES (:lease_id, :account_id, :slot, :mode, :token, :holder, :purpose, :task_id, :replica, :until, :now_us);

-- name: renew_lease
-- A lease that has not lapsed gets more time.
UPDATE lease SET until = :until WHERE lease_id = :lease_id AND end_us IS NULL AND until > :clock
RETURNING account_id, replica;

-- name: claim_lease
-- This replica answers for a lease from now on and runs a turn on it, if no other turn runs on it or its task.
UPDATE lease SET replica = :replica, turn_id = :turn_id
 WHERE lease_id = :lease_id AND end_us IS NULL AND until > :clock
   AND task_id = :task_id AND turn_id IN ('', :turn_id)
   AND NOT EXISTS (SELECT 1 FROM task WHERE task.task_id = lease.task_id AND task.busy = 1)
RETURNING account_id, until;

-- name: unclaim_lease
-- The turn on a lease is over.
UPDATE lease SET turn_id = '' WHERE lease_id = :lease_id AND turn_id = :turn_id AND end_us IS NULL
RETURNING task_id;

-- name: release_lease
-- A lease that its caller gives back has ended; where another replica may run a turn on it, or this one does, it
-- has only lapsed, and who runs the turn ends it.
UPDATE lease
   SET end_us = CASE WHEN turn_id = '' AND (replica = :replica OR NOT EXISTS (
                            SELECT 1 FROM task WHERE task.task_id = lease.task_id AND task.busy = 1))
                     THEN :now_us END,
       until = min(until, :clock)
 WHERE lease_id = :lease_id AND end_us IS NULL
RETURNING account_id, slot, task_id, end_us;

-- name: end_lease
-- A lease was given back in order: nobody will ask for it.
DELETE FROM lease WHERE lease_id = :lease_id;

-- name: lapse_lease
-- A lease of this replica whose time is up has ended.
UPDATE lease SET end_us = :now_us
 WHERE lease_id = :lease_id AND replica = :replica AND end_us IS NULL AND until <= :clock
RETURNING account_id, slot;

-- name: live_lease
-- A lease that has not ended.
SELECT account_id, slot, task_id FROM lease WHERE lease_id = :lease_id AND end_us IS NULL;

-- name: leave_slot
-- A lease has ended: its slot is free, or its task's alone; closed for a while where no task has it.
UPDATE slot
   SET lease_id = '',
       closed_until = CASE WHEN task_id = '' AND :closed_until > closed_until THEN :closed_until
                           ELSE closed_until END
 WHERE account_id = :account_id AND number = :slot AND lease_id = :lease_id;

-- name: holding_replicas
-- The replicas that answer for leases that have not ended.
SELECT DISTINCT replica FROM lease WHERE end_us IS NULL;

-- name: reclaim_leases
-- The leases of a replica, or those whose time to be given up is over (replica NULL), have ended.
UPDATE lease SET end_us = :now_us
 WHERE end_us IS NULL AND (replica = :replica OR (:replica IS NULL AND until <= :lapsed_before))
RETURNING lease_id, account_id, slot;

-- name: reclaim_all_leases
-- Another boot: no process of the one before is left.
UPDATE lease SET end_us = :now_us WHERE end_us IS NULL;

-- name: clear_slots
-- Another boot: no lease is left, and its clock says nothing about when a slot opens.
UPDATE slot SET lease_id = '', closed_until = 0;

-- name: clear_logins
-- Another boot: nobody logs in.
UPDATE account SET login_until = 0;

-- name: clear_replicas
-- Another boot: nobody serves.
DELETE FROM replica;

-- name: date_cooldowns_anew
-- Another boot: cooldowns end when the wall clock said they would, but within the cap (microseconds).
UPDATE cooldown SET until = :clock + max(0, min(until_us - :now_us, :cap));

-- name: boot_id
-- The boot whose clock the moments are of.
SELECT value FROM meta WHERE name = 'boot_id';

-- name: put_boot_id
-- The moments are of this boot's clock from now on.
INSERT INTO meta (name, value) VALUES ('boot_id', :boot_id)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;
