//! Jobs at work over real logs.
