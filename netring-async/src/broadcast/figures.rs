//! The figures of a broadcast's tasks: the current ones from a task, the final ones after its end.

use std::sync::OnceLock;

use tokio::sync::oneshot;

use super::Published;
use super::error::BroadcastRecvError;
use super::handle::Handle;
use super::message::Contents;

/// The figures of a task, or why they cannot be read.
pub(crate) type Answered<F> = Result<F, BroadcastRecvError>;

/// Figures that a task knows but for the waits, which the handle knows.
pub(crate) trait TaskFigures: Clone {
    fn with_waits(self, published: Published) -> Self;
}

impl<C, R> Handle<C, R>
where
    C: Contents + ?Sized + Send + Sync + 'static,
    R: Send + 'static,
{
    /// The figures of a task, or `last` after its end.
    pub(crate) async fn figures<F: TaskFigures>(
        &self,
        task: usize,
        request: impl FnOnce(oneshot::Sender<Answered<F>>) -> R,
        last: &OnceLock<Answered<F>>,
    ) -> Answered<F> {
        match self.ask(task, request).await {
            Some(figures) => figures.map(|figures| figures.with_waits(self.published())),
            None => self.last_figures(last),
        }
    }

    /// The final figures: the task stored them before it stopped answering.
    pub(crate) fn last_figures<F: TaskFigures>(&self, last: &OnceLock<Answered<F>>) -> Answered<F> {
        let last = last.get().cloned();
        let last = last.unwrap_or(Err(BroadcastRecvError::Aborted));
        last.map(|figures| figures.with_waits(self.published()))
    }
}
