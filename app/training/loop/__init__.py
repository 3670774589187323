"""The training loop: plan, optimizer, checkpoints, resumption, evaluation, several processes."""
