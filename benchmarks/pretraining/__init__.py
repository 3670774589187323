"""Pretraining text and images beside the peers that people would otherwise use: python -m benchmarks.pretraining"""
