"""Middleware: limits, keys and checks that apply to a request before its route."""
