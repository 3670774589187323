"""Works on jobs: claims them, runs each in a process of its own, reports and recovers."""
