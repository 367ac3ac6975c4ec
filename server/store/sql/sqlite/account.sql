-- name: add_account
-- A new account, behind all others.
INSERT INTO account (account_id, position, email, user_id, name, cookie, password, offer, state, reason, enabled,
                     slots, failed_logins, session_us, session_dated, create_us, last_used_us, version)
SELECT :account_id, coalesce(max(position), 0) + 1, :email, :user_id, :name, :cookie, :password, :offer, :state,
       :reason, :enabled, :slots, :failed_logins, :session_us, :session_dated, :create_us, :last_used_us, :version
  FROM account;

-- name: add_slots
-- The account gets the slots that its limit (0: the default) gives it and it does not have.
WITH RECURSIVE wanted (number, last) AS (
  SELECT 1, CASE slots WHEN 0 THEN :default_slots ELSE slots END FROM account WHERE account_id = :account_id
  UNION ALL
  SELECT number + 1, last FROM wanted WHERE number < last
)
INSERT INTO slot (account_id, number)
SELECT :account_id, number FROM wanted WHERE true
ON CONFLICT (account_id, number) DO NOTHING;

-- name: drop_slots
-- Free slots beyond the account's limit go; those in use go when the limit is looked at again.
DELETE FROM slot
 WHERE account_id = :account_id AND lease_id = '' AND task_id = ''
   AND number > (SELECT CASE slots WHEN 0 THEN :default_slots ELSE slots END
                   FROM account WHERE account_id = :account_id);

-- name: account_ids
-- All accounts.
SELECT account_id FROM account;

-- name: claim_login
-- A replica may log the account in, if no other is about to.
UPDATE account SET login_until = :until WHERE account_id = :account_id AND login_until <= :clock
RETURNING account_id;

-- name: put_cooldown
-- A cooldown takes the place of the one of the same scope and model.
INSERT INTO cooldown (account_id, scope, upstream_model_id, reason, until, until_us)
VALUES (:account_id, :scope, :upstream_model_id, :reason, :until, :until_us)
ON CONFLICT (account_id, scope, upstream_model_id) DO UPDATE
   SET reason = excluded.reason, until = excluded.until, until_us = excluded.until_us;

-- name: drop_old_cooldowns
-- Cooldowns that are over.
DELETE FROM cooldown WHERE until <= :clock RETURNING account_id;
