//! A view as a whole.

use super::error::ReadError;
use super::handle::Reader;
use super::view::View;
use crate::tier::manifest::{Query, RunEntry};

impl Reader {
    /// Everything that a view names, in order of keys.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn entries(&self, view: &View) -> Result<Vec<RunEntry>, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.select(&view, &Query::default()).await }).await
    }
}
