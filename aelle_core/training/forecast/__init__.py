"""Networks that learn to predict the next step, and then run on their own output."""
