-- name: list_cooldowns
-- All cooldowns.
SELECT account_id, scope, upstream_model_id, reason, until_us FROM cooldown ORDER BY until_us;

-- name: put_cooldown
-- A cooldown takes the place of the one of the same scope and model.
INSERT INTO cooldown (account_id, scope, upstream_model_id, reason, until_us)
VALUES (:account_id, :scope, :upstream_model_id, :reason, :until_us)
ON CONFLICT (account_id, scope, upstream_model_id) DO UPDATE
   SET reason = excluded.reason, until_us = excluded.until_us;

-- name: drop_cooldown
-- A cooldown is over.
DELETE FROM cooldown
 WHERE account_id = :account_id AND scope = :scope AND upstream_model_id = :upstream_model_id;

-- name: drop_old_cooldowns
-- Cooldowns that were over before the process started.
DELETE FROM cooldown WHERE until_us <= :now_us;

-- name: drop_cooldowns_of_account
-- The account is forgotten.
DELETE FROM cooldown WHERE account_id = :account_id;
