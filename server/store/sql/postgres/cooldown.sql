-- name: put_cooldown
-- A cooldown takes the place of the one of the same scope and model.
WITH put AS (
  INSERT INTO cooldown (account_id, scope, upstream_model_id, reason, until, until_us)
  VALUES (:account_id, :scope, :upstream_model_id, :reason, :now + :us, :until_us)
  ON CONFLICT (account_id, scope, upstream_model_id) DO UPDATE
     SET reason = excluded.reason, until = excluded.until, until_us = excluded.until_us
  RETURNING account_id
)
SELECT pg_notify('howler', :replica || ',' || account_id) FROM put;
