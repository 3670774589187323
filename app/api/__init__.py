"""HTTP and nothing else: what comes in, what goes out, which engine or store answers it."""
