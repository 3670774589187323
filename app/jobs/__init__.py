"""Jobs and files in Redis: records, queue, events, webhooks. The only importer of redis."""
