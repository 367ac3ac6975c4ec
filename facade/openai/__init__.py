"""The OpenAI surface as pure machines: requests read, answers told. No I/O, no clock, no randomness."""
