-- name: check
-- The value that the key which seals now has sealed; nobody changes it until this transaction has sealed.
SELECT value FROM meta WHERE name = 'secrets' FOR SHARE;

-- name: check_alone
-- The same for who will change it: nobody seals meanwhile.
SELECT value FROM meta WHERE name = 'secrets' FOR UPDATE;
