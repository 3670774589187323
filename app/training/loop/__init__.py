"""The training loop: plan, optimiser, checkpoints, resumption, evaluation, several processes."""
