"""Where problems come from: local files, datasets of the hub, the register that names them."""
