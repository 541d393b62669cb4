//! QueryAssignment: what a push consumer polls (spec B.7). Every client of a group gets the same
//! list; taking turns is the broker's business.

use super::refused::Refused;
use super::route::{broker, permission};
use metadata::model::{Group, Order, Topic, broker_name};
use protocol::grpc::v2::{Assignment, Endpoints, MessageQueue, Resource};

/// "The whole broker": the id of a queue that stands for all of a placement group's.
const WHOLE_BROKER: i32 = -1;

/// One assignment for each placement group; for each queue where the group is ordered. `asked` is
/// the topic in the client's words. An unknown group is taken for a concurrent one, as which it
/// would be made.
///
/// # Errors
/// When the topic may not be read.
pub(super) fn assignments(
    topic: &Topic,
    group: Option<&Group>,
    asked: &Resource,
    endpoints: &Endpoints,
) -> Result<Vec<Assignment>, Refused> {
    if !topic.permission.read || topic.queues().is_empty() {
        return Err(Refused::NoReadableQueue);
    }
    let assignment = |pg, id| {
        let queue = MessageQueue {
            topic: Some(asked.clone()),
            id,
            permission: permission(topic.permission).into(),
            broker: Some(broker(broker_name(pg), endpoints)),
            accept_message_types: Vec::new(),
        };
        Assignment { message_queue: Some(queue) }
    };
    let queues = topic.queues();
    Ok(match group.map_or(Order::Concurrent, |group| group.order) {
        Order::Fifo => {
            queues.iter().map(|queue| assignment(queue.pg, queue.id.cast_signed())).collect()
        }
        Order::Concurrent => {
            // Queues are sorted by placement group.
            queues
                .chunk_by(|a, b| a.pg == b.pg)
                .map(|of_pg| assignment(of_pg[0].pg, WHOLE_BROKER))
                .collect()
        }
    })
}
