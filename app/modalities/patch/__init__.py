"""Models of patches. Images, spectrograms and clips differ only in how they are read and cut."""
