"""Training on several machines: the processes are placed by Ray, and report to the process of the attempt."""
