"""The study of labels: what pretrained models are worth on labelled tasks of every modality."""
