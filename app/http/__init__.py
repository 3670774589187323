"""HTTP connections with limits: uvicorn's protocol, bounded in bytes, requests, time and number of connections."""
