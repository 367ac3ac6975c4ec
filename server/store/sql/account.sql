-- name: change_account
-- What may change about an account, if nobody changed it since; its token and last use belong to take_token.
UPDATE account
   SET email = :email, user_id = :user_id, name = :name, cookie = :cookie, password = :password, offer = :offer,
       state = :state, reason = :reason, enabled = :enabled, slots = :slots, failed_logins = :failed_logins,
       session_us = :session_us, session_dated = :session_dated, version = version + 1
 WHERE account_id = :account_id AND version = :version
RETURNING account_id;

-- name: delete_account
-- Forget an account and its credentials.
DELETE FROM account WHERE account_id = :account_id;

-- name: delete_slots
-- The account is forgotten.
DELETE FROM slot WHERE account_id = :account_id;

-- name: drop_cooldown
-- A cooldown is over.
DELETE FROM cooldown
 WHERE account_id = :account_id AND scope = :scope AND upstream_model_id = :upstream_model_id
RETURNING account_id;

-- name: drop_cooldowns_of_account
-- The account is forgotten.
DELETE FROM cooldown WHERE account_id = :account_id;
