"""Training thousands of networks: our packs beside one network at a time and torch.func's ensembles."""
