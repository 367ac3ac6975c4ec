-- name: check
-- The value that the key which seals now has sealed; read in the transaction that is to seal.
SELECT value FROM meta WHERE name = 'secrets';
