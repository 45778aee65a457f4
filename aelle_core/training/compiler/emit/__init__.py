"""From scheduled operations to LLVM code."""
