"""What all models of patches share: images, spectrograms and clips differ only in how they are read and cut."""
