"""What survives the process. The only SQL of Howler is here."""
