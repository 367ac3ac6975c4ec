"""What an operator types: commands that work on the database itself, beside servers or without one."""
