//! What is damaged or gone.
