"""The network, its inputs, the sealed bundle and the model in service; no training and no registry."""
