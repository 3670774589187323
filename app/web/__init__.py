"""The page: static modules that the API serves as they are. See README.md beside this file."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"
