-- name: add_account
-- A new account with its slots. None is made where its user has one already; again is no error.
WITH made AS (
  INSERT INTO account (account_id, email, user_id, name, cookie, password, offer, state, reason, enabled, slots,
                       failed_logins, session_us, session_dated, create_us, last_used_us, version)
  VALUES (:account_id, :email, :user_id, :name, :cookie, :password, :offer, :state, :reason, :enabled, :slots,
          :failed_logins, :session_us, :session_dated, :create_us, :last_used_us, :version)
  ON CONFLICT DO NOTHING
  RETURNING account_id, slots
), opened AS (
  INSERT INTO slot (account_id, number)
  SELECT account_id, generate_series(1, CASE slots WHEN 0 THEN :default_slots ELSE slots END) FROM made
), told AS (
  SELECT pg_notify('howler', :replica || ',' || account_id) FROM made
)
SELECT EXISTS (SELECT FROM told)
    OR EXISTS (SELECT FROM account WHERE account_id = :account_id) AS added;

-- name: open_slots
-- The slots that accounts lack: one whose limit grew, or all (NULL) that go by a default that grew.
INSERT INTO slot (account_id, number)
SELECT account_id, generate_series(1, CASE slots WHEN 0 THEN :default_slots ELSE slots END)
  FROM account
 WHERE :account_id :: TEXT IS NULL OR account_id = :account_id
ON CONFLICT DO NOTHING;

-- name: lock_slots
-- All slots of an account, before the account: the order in which grants lock them.
SELECT number FROM slot WHERE account_id = :account_id ORDER BY number FOR UPDATE;

-- name: lock_account
-- An account: while it is locked it is granted to nobody.
SELECT account_id FROM account WHERE account_id = :account_id FOR UPDATE;

-- name: remove_account
-- Forget an account, its credentials, slots and cooldowns; end its leases and tasks. It is locked already.
WITH leases AS (
  UPDATE lease SET end_us = :now_us WHERE account_id = :account_id AND end_us IS NULL
), tasks AS (
  UPDATE task SET end_us = :now_us, busy = 0 WHERE account_id = :account_id AND end_us IS NULL
), slots AS (
  DELETE FROM slot WHERE account_id = :account_id
), cooldowns AS (
  DELETE FROM cooldown WHERE account_id = :account_id
), gone AS (
  DELETE FROM account WHERE account_id = :account_id RETURNING account_id
)
SELECT pg_notify('howler', :replica || ',' || account_id) FROM gone;

-- name: claim_login
-- The right to log an account in, unless somebody has it.
UPDATE account SET login_until = :now + :us WHERE account_id = :account_id AND login_until <= :now
RETURNING account_id;
