"""Studies whose spectra, tables and models come with the package."""
