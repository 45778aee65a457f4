"""Networks and sequences from files."""
