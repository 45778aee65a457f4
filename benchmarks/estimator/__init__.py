"""AeLLE itself: agreement of refits, ranking, intervals, and the time of a fit."""
