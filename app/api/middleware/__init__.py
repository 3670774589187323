"""Middleware: everything that happens to a request before a route sees it."""
