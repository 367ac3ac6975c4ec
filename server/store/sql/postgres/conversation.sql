-- name: conversations_left
-- The conversations of somebody, with this model and these instructions, that were left at one of these points.
SELECT * FROM conversation_now
 WHERE thread = ANY (SELECT json_array_elements_text(:threads :: JSON))
   AND principal = :principal AND model = :model AND instructions = :instructions
 ORDER BY last_used_us DESC
 LIMIT :limit;
