"""What the bodies of requests and responses look like, one module a resource."""
