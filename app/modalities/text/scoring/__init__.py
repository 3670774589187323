"""The questions of the task score beside single texts: pairs, candidates in a context, and variants of a sequence."""
