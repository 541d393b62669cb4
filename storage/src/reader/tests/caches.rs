//! How many requests an answer costs, and what the caches do.
