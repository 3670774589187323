"""The use cases of requests: from inputs that a client sent to a written answer. Knows no HTTP."""
