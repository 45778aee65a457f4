"""A cell's step taken apart into matrix products and the pointwise work between them, and compiled with its derivative
and the loop over time: cells write one step in torch and get a backward pass through time without writing it."""
