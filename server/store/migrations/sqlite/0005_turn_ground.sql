-- What a process needs to go on with a turn of another one that died: `start` has its messages replaced by what
-- the turn adds to its conversation, and its instructions by what the agent was told.

ALTER TABLE turn ADD COLUMN prompt TEXT NOT NULL DEFAULT '';          -- as it was sent
ALTER TABLE turn ADD COLUMN held_task_id TEXT NOT NULL DEFAULT '';    -- '' where the task was made for the turn
ALTER TABLE turn ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;      -- see Grant.active_at
