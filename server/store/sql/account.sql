-- name: list_accounts
-- All accounts, in the order of their registration.
SELECT account_id, email, user_id, name, cookie, password, offer, state, reason, enabled, slots,
       failed_logins, create_us, last_used_us
  FROM account
 ORDER BY position;

-- name: add_account
-- A new account, behind all others.
INSERT INTO account (account_id, position, email, user_id, name, cookie, password, offer, state, reason,
                     enabled, slots, failed_logins, create_us, last_used_us)
SELECT :account_id, coalesce(max(position), 0) + 1, :email, :user_id, :name, :cookie, :password, :offer, :state,
       :reason, :enabled, :slots, :failed_logins, :create_us, :last_used_us
  FROM account;

-- name: put_account
-- What may change about an account; its token and its last use belong to take_token.
UPDATE account
   SET email = :email, user_id = :user_id, name = :name, cookie = :cookie, password = :password, offer = :offer,
       state = :state, reason = :reason, enabled = :enabled, slots = :slots, failed_logins = :failed_logins
 WHERE account_id = :account_id;

-- name: take_token
-- The account was granted once more.
UPDATE account
   SET token = token + 1, last_used_us = :now_us
 WHERE account_id = :account_id;

-- name: delete_account
-- Forget an account and its credentials.
DELETE FROM account WHERE account_id = :account_id;
