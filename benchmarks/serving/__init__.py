"""Cloze and its peers over HTTP: the same models, inputs and threads, in turns."""
