-- Which items its turns were told a conversation knows by itself: responses are forgotten before it is.

ALTER TABLE conversation ADD COLUMN items_heard INTEGER NOT NULL DEFAULT 0;   -- the number of the last one
