"""Sound: spectrograms of windows of it, cut into patches."""
