"""Training files on other servers: https://, s3:// and datasets of the Hugging Face hub.

`access` holds the operator's rules, `files` finds and reads a file of any scheme, `reading` makes it a seekable file,
and `download` copies it.
"""
