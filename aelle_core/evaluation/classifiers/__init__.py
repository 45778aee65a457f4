"""One file for each classifier or baseline; a new one is found by itself."""
