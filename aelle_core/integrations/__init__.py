"""Optional partners: each is imported only when it is used."""
