"""The training assets: from labelled chips to the model in service, one module per asset."""
