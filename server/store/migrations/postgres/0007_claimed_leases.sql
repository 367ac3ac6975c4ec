-- A caller's lease is claimed for one turn at a time, over all replicas.

ALTER TABLE lease ADD COLUMN turn_id TEXT NOT NULL DEFAULT ''; -- of the turn that runs on it for its caller, or ''
