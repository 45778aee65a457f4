"""From operations on numbered elements to LLVM's language."""
