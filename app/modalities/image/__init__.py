"""Images: masked autoencoders (MAE) and masked image modelling (SimMIM)."""
