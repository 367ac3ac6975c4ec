-- name: lease_token
-- The token of a lease, live or ended.
SELECT token FROM lease WHERE lease_id = :lease_id;

-- name: forget_leases
-- Ended leases that nobody will ask for.
DELETE FROM lease WHERE end_us < :before_us;

-- name: end_leases_of_account
-- The account is forgotten.
UPDATE lease SET end_us = :now_us WHERE account_id = :account_id AND end_us IS NULL;
