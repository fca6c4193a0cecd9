//! What the handles of broadcasts of flows and of records ask their task.

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
}
