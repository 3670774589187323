"""Video: masked autoencoders that see clips (VideoMAE)."""
