"""What flow, Ray and store cost without training."""
