-- The processes that serve: where the others reach them, to hand on what concerns a turn that runs there. A row
-- is renewed while its process lives; one that has lapsed is a process that is dead, or stood still.

CREATE TABLE replica (
  name    TEXT   PRIMARY KEY,
  address TEXT   NOT NULL,                          -- host:port; '' where nobody can reach it
  until   INTEGER NOT NULL                          -- when the row lapses, by the clock that leases go by
) STRICT;

CREATE INDEX task_turn ON task (turn_id) WHERE busy = 1; -- a turn that is not durable is found by its task
