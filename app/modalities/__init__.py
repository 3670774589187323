"""What a modality is: its models, its tasks, its masking and its loss. Serving and training share it."""
