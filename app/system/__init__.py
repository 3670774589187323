"""The ground floor: what every layer needs of the machine and the network. Imports nothing of Cloze but errors."""
