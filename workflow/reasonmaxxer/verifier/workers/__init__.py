"""What runs apart: the isolated processes, and verifiers that are started in them."""
