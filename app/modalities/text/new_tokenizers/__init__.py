"""New tokenizers, trained on a job's own documents.

`kinds` lists the kinds, and `train_tokenizer` trains one. To add a kind, add its name to `app/methods/tokenizers.py`
and its descriptor to `KINDS`. Every tokenizer is one of the library tokenizers, so a folder with its tokenizer.json
needs no code of Cloze.
"""
