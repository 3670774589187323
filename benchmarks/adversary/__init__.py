"""Attacks that once harmed the service, each as a script that shows what another user sees meanwhile.

Run one as `python -m benchmarks.adversary.NAME`; README.md beside this file lists them with their figures.
"""
