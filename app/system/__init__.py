<<<<<<< HEAD
<<<<<<< HEAD
"""What the operating system gives: processes and their limits."""
=======
"""The ground floor: what every layer needs of the machine and the network. Imports nothing of Cloze but errors."""
>>>>>>> disk
=======
"""The ground floor: what every layer needs of the machine and the network. Imports nothing of Cloze but errors."""
>>>>>>> api
