-- The active tasks are those in the slots: no index need tell them from the ones that have ended.

DROP INDEX task_active;
