"""A cell's step taken apart into matrix products and the pointwise work between them, which is compiled with its
derivative: cells write one step in torch and get a backward pass through time without writing it."""
