"""The compiled CPU kernel: row-pivoted Householder orthogonalisation on reflectors. Needs numba."""
