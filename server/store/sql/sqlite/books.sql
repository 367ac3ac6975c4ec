-- name: books_accounts
-- The accounts asked for (a JSON list; NULL: all), in the order of their registration.
SELECT account_id, email, user_id, name, cookie, password, offer, state, reason, enabled, slots, failed_logins,
       session_us, session_dated, create_us, last_used_us, version
  FROM account
 WHERE :accounts IS NULL OR account_id IN (SELECT value FROM json_each(:accounts))
 ORDER BY position;

-- name: books_leases
-- Their leases that have not ended.
SELECT lease_id, account_id, mode, token, holder, purpose, task_id, replica, until
  FROM lease
 WHERE end_us IS NULL
   AND (:accounts IS NULL OR account_id IN (SELECT value FROM json_each(:accounts)));

-- name: books_tasks
-- Their active tasks, the one used longest ago first.
SELECT task_id, account_id, model, principal, turn_id, create_us, last_used_us, busy,
       CASE WHEN busy = 1 THEN 1 ELSE 2 END AS state
  FROM task INDEXED BY task_active
 WHERE end_us IS NULL
   AND (:accounts IS NULL OR account_id IN (SELECT value FROM json_each(:accounts)))
 ORDER BY last_used_us, task_id;

-- name: books_cooldowns
-- Their cooldowns that are not over, and the platform's.
SELECT account_id, scope, upstream_model_id, reason, until, until_us
  FROM cooldown
 WHERE until > :clock
   AND (:accounts IS NULL OR account_id = '' OR account_id IN (SELECT value FROM json_each(:accounts)));

-- name: books_closed
-- Their slots that would be free if they were not closed.
SELECT account_id, closed_until
  FROM slot
 WHERE closed_until > :clock AND lease_id = '' AND task_id = ''
   AND (:accounts IS NULL OR account_id IN (SELECT value FROM json_each(:accounts)));
