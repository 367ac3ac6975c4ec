-- name: put_check
-- The value by which a ring of keys is known to be the database's; the key that sealed it seals from then on.
INSERT INTO meta (name, value) VALUES ('secrets', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: sealed_accounts
-- The secrets of all accounts.
SELECT account_id, cookie, password FROM account;

-- name: reseal_account
-- The same secrets, sealed with another key: no change of the record.
UPDATE account SET cookie = :cookie, password = :password WHERE account_id = :account_id;
