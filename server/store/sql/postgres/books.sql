-- name: books
-- All that is recorded of some accounts (NULL: of all), at one moment of the clock: each table a JSON list.
SELECT :now AS clock,
       (SELECT coalesce(json_agg(found), '[]')
          FROM (SELECT account_id, email, user_id, name, cookie, password, offer, state, reason, enabled, slots,
                       failed_logins, session_us, session_dated, create_us, last_used_us, version
                  FROM account
                 WHERE :accounts :: TEXT [] IS NULL OR account_id = ANY (:accounts)
                 ORDER BY position) AS found) AS accounts,
       (SELECT coalesce(json_agg(found), '[]')
          FROM (SELECT lease_id, account_id, mode, token, holder, purpose, task_id, replica, until
                  FROM lease
                 WHERE end_us IS NULL AND (:accounts IS NULL OR account_id = ANY (:accounts))) AS found) AS leases,
       (SELECT coalesce(json_agg(found), '[]')
          FROM (SELECT task_id, account_id, model, principal, turn_id, create_us, last_used_us, busy,
                       CASE WHEN busy = 1 THEN 1 ELSE 2 END AS state
                  FROM task
                 WHERE end_us IS NULL AND (:accounts IS NULL OR account_id = ANY (:accounts))
                 ORDER BY last_used_us, task_id) AS found) AS tasks,
       (SELECT coalesce(json_agg(found), '[]')
          FROM (SELECT account_id, scope, upstream_model_id, reason, until, until_us
                  FROM cooldown
                 WHERE until > :now
                   AND (:accounts IS NULL OR account_id = '' OR account_id = ANY (:accounts))) AS found) AS cooldowns,
       (SELECT coalesce(json_agg(found), '[]')
          FROM (SELECT slot.account_id, slot.closed_until
                  FROM slot JOIN account ON account.account_id = slot.account_id
                 WHERE slot.closed_until > :now AND slot.lease_id = '' AND slot.task_id = ''
                   AND slot.number <= CASE account.slots WHEN 0 THEN :default_slots ELSE account.slots END
                   AND (:accounts IS NULL OR slot.account_id = ANY (:accounts))) AS found) AS closed;
