-- name: books_accounts
-- The accounts asked for (a JSON list), in the order of their registration.
SELECT account_id, email, user_id, name, cookie, password, offer, state, reason, enabled, slots, failed_logins,
       session_us, session_dated, create_us, last_used_us, version
  FROM account
 WHERE account_id IN (SELECT value FROM json_each(:accounts))
 ORDER BY position;

-- name: books_leases
-- Their leases that have not ended.
SELECT lease_id, account_id, mode, token, holder, purpose, task_id, replica, until
  FROM lease
 WHERE end_us IS NULL AND account_id IN (SELECT value FROM json_each(:accounts));

-- name: books_tasks
-- Their active tasks, all of which have slots; the one used longest ago first.
SELECT task.task_id, task.account_id, model, principal, turn_id, create_us, last_used_us, busy,
       CASE WHEN busy = 1 THEN 1 ELSE 2 END AS state
  FROM slot CROSS JOIN task ON task.task_id = slot.task_id
 WHERE slot.account_id IN (SELECT value FROM json_each(:accounts)) AND slot.task_id <> '' AND task.end_us IS NULL
 ORDER BY task.last_used_us, task.task_id;

-- name: books_cooldowns
-- Their cooldowns that are not over, and the platform's.
SELECT account_id, scope, upstream_model_id, reason, until, until_us
  FROM cooldown
 WHERE until > :clock AND (account_id = '' OR account_id IN (SELECT value FROM json_each(:accounts)));

-- name: books_closed
-- Their slots that would be free if they were not closed.
SELECT account_id, closed_until
  FROM slot
 WHERE closed_until > :clock AND lease_id = '' AND task_id = ''
   AND account_id IN (SELECT value FROM json_each(:accounts));
