"""What Howler takes of a core, of time and of memory per token: `make bench`, and README.md to read it by."""
