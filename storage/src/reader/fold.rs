//! A view as a whole: what a fold of its deltas needs, and all that it names.

use super::access::{AT_ONCE, Access};
use super::error::ReadError;
use super::handle::Reader;
use super::view::View;
use crate::tier::manifest::{Brought, PageSizes, Query, RunEntry, RunPage, StartPage, touched};
use futures_util::{StreamExt, TryStreamExt, stream};

impl Reader {
    /// The pages that a fold of the view's deltas touches, for [`crate::tier::manifest::fold`].
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn for_fold(&self, view: &View, sizes: PageSizes) -> Result<Brought, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.for_fold(&view, sizes).await }).await
    }

    /// Everything that a view names, in order of keys.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn entries(&self, view: &View) -> Result<Vec<RunEntry>, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.select(&view, &Query::default()).await }).await
    }
}

impl Access {
    async fn for_fold(&self, view: &View, sizes: PageSizes) -> Result<Brought, ReadError> {
        let touched = touched(view.root(), view.overlay(), sizes);
        let runs = touched.pages.into_iter().map(|at| async move {
            Ok::<(usize, RunPage), ReadError>((at, RunPage::clone(&*self.runs(view, at).await?)))
        });
        let starts = touched.starts.into_iter().map(|at| async move {
            let page = self.starts_page(view, at).await?;
            Ok::<(usize, StartPage), ReadError>((at, StartPage::clone(&page)))
        });
        Ok(Brought {
            pages: stream::iter(runs).buffered(AT_ONCE).try_collect().await?,
            starts: stream::iter(starts).buffered(AT_ONCE).try_collect().await?,
        })
    }
}
