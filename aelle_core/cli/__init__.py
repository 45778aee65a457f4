"""Commands that need no orchestration."""
