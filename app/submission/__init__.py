"""Use cases of jobs: from a request to a validated specification with an estimate. Knows no HTTP."""
