-- name: conversations_left
-- The conversations of somebody, with this model and these instructions, that were left at one of these points. They
-- have this name or none; where turns are given, one of them ran last in them, whatever their name.
SELECT * FROM conversation_now
 WHERE thread = ANY (SELECT json_array_elements_text(:threads :: JSON))
   AND principal = :principal AND model = :model AND instructions = :instructions
   AND CASE json_array_length(:turns :: JSON)
            WHEN 0 THEN session IN ('', :session)
            ELSE turn_id = ANY (SELECT json_array_elements_text(:turns :: JSON)) END
 ORDER BY CASE session WHEN :session THEN 0 ELSE 1 END, last_used_us DESC
 LIMIT :limit;

-- name: add_items
-- Items behind all that were added before. One that is there already stays as it is.
INSERT INTO conversation_item (conversation_id, item_id, number, item)
SELECT :conversation_id, value ->> 'id',
       greatest(:now_us, (SELECT coalesce(max(number), 0) + 1 FROM conversation_item
                           WHERE conversation_id = :conversation_id)) + key,
       value ->> 'item'
  FROM json_array_elements(:items :: JSON) WITH ORDINALITY AS added (value, key)
ON CONFLICT (conversation_id, item_id) DO NOTHING;
