//! What the handles of all broadcasts of flows ask their task.

use std::sync::OnceLock;

use netring_flow::LiveFlow;

use super::produce::FlowRequest;
use super::stats::Figures;
use crate::broadcast::error::BroadcastRecvError;
use crate::broadcast::handle::Handle;
use crate::broadcast::message::Contents;

impl<C, K> Handle<C, FlowRequest<K>>
where
    C: Contents + ?Sized + Send + Sync + 'static,
    K: Send + 'static,
{
    /// The current figures, or `last` after the end.
    pub(crate) async fn figures(&self, last: &OnceLock<Figures>) -> Figures {
        match self.ask(0, FlowRequest::Stats).await {
            Some(figures) => figures.map(|figures| figures.with_waits(self.published())),
            None => self.last_figures(last),
        }
    }

    /// The largest flows; none after the end.
    pub(crate) async fn live_flows(
        &self,
        count: usize,
        last: &OnceLock<Figures>,
    ) -> Result<Vec<LiveFlow<K>>, BroadcastRecvError> {
        let ask = |reply| FlowRequest::Flows(count, reply);
        if let Some(flows) = self.ask(0, ask).await {
            return Ok(flows);
        }
        match self.last_figures(last) {
            Err(BroadcastRecvError::Aborted) => Err(BroadcastRecvError::Aborted),
            _ => Ok(Vec::new()),
        }
    }

    /// The final figures: the task stored them before it stopped answering.
    pub(crate) fn last_figures(&self, last: &OnceLock<Figures>) -> Figures {
        let last = last.get().cloned();
        let last = last.unwrap_or(Err(BroadcastRecvError::Aborted));
        last.map(|figures| figures.with_waits(self.published()))
    }
}
