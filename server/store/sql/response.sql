-- name: add_response
-- A stored response; none where the id is taken.
INSERT INTO response (response_id, principal, turn_id, previous_response_id, conversation_id, request, presentation, create_us, items_heard)
VALUES (:response_id, :principal, :turn_id, :previous_response_id, :conversation_id, :request, :presentation, :create_us, :items_heard)
ON CONFLICT (response_id) DO NOTHING
RETURNING response_id;

-- name: get_response
-- A stored response of a principal.
SELECT response_id, principal, turn_id, previous_response_id, conversation_id, request, presentation, create_us, items_heard
  FROM response
 WHERE response_id = :response_id AND principal = :principal;

-- name: delete_response
-- A response is forgotten.
DELETE FROM response WHERE response_id = :response_id AND principal = :principal RETURNING response_id;

-- name: forget_responses
-- Responses are as old as their turns' logs at most.
DELETE FROM response WHERE create_us < :before_us;
