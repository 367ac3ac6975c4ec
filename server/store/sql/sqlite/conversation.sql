-- name: conversations_left
-- The conversations of somebody, with this model and these instructions, that were left at one of these points. They
-- have this name or none; where turns are given, one of them ran last in them, whatever their name.
SELECT * FROM conversation_now
 WHERE thread IN (SELECT value FROM json_each(:threads))
   AND principal = :principal AND model = :model AND instructions = :instructions
   AND CASE json_array_length(:turns)
            WHEN 0 THEN session IN ('', :session)
            ELSE turn_id IN (SELECT value FROM json_each(:turns)) END
 ORDER BY CASE session WHEN :session THEN 0 ELSE 1 END, last_used_us DESC
 LIMIT :limit;

-- name: add_items
-- Items behind all that were added before. One that is there already stays as it is.
INSERT INTO conversation_item (conversation_id, item_id, number, item)
SELECT :conversation_id, json_extract(value, '$.id'),
       max(:now_us, (SELECT coalesce(max(number), 0) + 1 FROM conversation_item
                      WHERE conversation_id = :conversation_id)) + key,
       json_extract(value, '$.item')
  FROM json_each(:items)
 WHERE true
ON CONFLICT (conversation_id, item_id) DO NOTHING;
