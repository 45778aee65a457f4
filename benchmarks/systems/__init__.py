"""The spectra of many known systems, beside what others keep of them."""
