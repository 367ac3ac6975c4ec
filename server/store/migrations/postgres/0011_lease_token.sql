-- A token is unique by how it is made: of its account's row, in the statement that makes the lease.

ALTER TABLE lease DROP CONSTRAINT lease_account_id_token_key;
