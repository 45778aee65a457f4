"""Other ways to the same exponents, written or wired up as their authors publish them."""
