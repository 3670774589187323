"""Object storage: buckets of S3, Google Cloud Storage and Azure."""
