"""Step functions as machine code: traced, taken apart into single numbers, differentiated, compiled once."""
