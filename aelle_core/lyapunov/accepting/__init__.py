"""What a person hands in -> a system of the engine."""
