"""What a person sees while networks train."""
