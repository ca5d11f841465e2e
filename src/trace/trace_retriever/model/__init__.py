"""The vision-language network that TRACE trains: loading, prompting, batching, and its states."""
