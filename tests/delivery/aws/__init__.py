"""A stand-in for Terraform's AWS provider: the real one's schema, and nothing behind it."""
