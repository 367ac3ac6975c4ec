-- Stored responses: how the facade finds a turn's log again, and how it told it.

CREATE TABLE response (
  response_id          TEXT    PRIMARY KEY,
  principal            TEXT    NOT NULL,
  turn_id              TEXT    NOT NULL,
  previous_response_id TEXT    NOT NULL,            -- '' where it continues none
  conversation_id      TEXT    NOT NULL,            -- '' where the client named none
  request              BYTEA   NOT NULL,
  presentation         BYTEA   NOT NULL,
  create_us            BIGINT  NOT NULL
);

CREATE INDEX response_age ON response (create_us);
