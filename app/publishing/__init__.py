"""How what a job has made becomes a model of the store: without torch, so that the API can do it too."""
