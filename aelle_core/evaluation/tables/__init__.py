"""One file for each of the paper's tables, and for those that it does not have; a new one is found by itself."""
