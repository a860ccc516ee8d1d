"""Networks, their training and the sealed bundle; no registry."""
