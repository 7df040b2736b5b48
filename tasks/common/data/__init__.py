"""Tables, media, batches and caches."""
