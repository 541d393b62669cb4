//! Settings of everything at once: whole tables, which tools copy and compare.
//!
//! `mqadmin` 5.5.0 takes them in pages: it says which row comes next, how many it takes, and which
//! state the pages before were of, and begins anew when an answer is of another state. Older tools
//! say nothing and get all.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use super::view::View;
use super::{group, system, topic};
use protocol::remoting::body::{DataVersion, SubscriptionGroupTable, TopicConfigTable, TopicList};

/// GET_ALL_TOPIC_CONFIG (21): every topic that the name server lists, each as 351 shows it.
pub(super) fn topics(session: &Session<'_>, header: Header<'_>) -> Answer {
    let names = topic::names(session);
    let version = version(session);
    let page = Page::read(header, "topicSeq", "maxTopicNum", version)?;
    let views = page.of(&names).filter_map(|name| View::find(session.broker, name));
    let table = views.map(|view| (view.name.clone(), topic::config_of(&view)));
    let body = TopicConfigTable { data_version: version, topic_config_table: table.collect() };
    Ok(Reply::json(body).with("totalTopicNum", names.len()))
}

/// GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201): every group, each as 352 shows it.
pub(super) fn groups(session: &Session<'_>, header: Header<'_>) -> Answer {
    let groups = session.broker.catalog.groups();
    let version = version(session);
    let page = Page::read(header, "groupSeq", "maxGroupNum", version)?;
    let table = page.of(&groups).map(|it| (it.name.to_string(), group::config_of(it)));
    let body = SubscriptionGroupTable {
        data_version: version,
        subscription_group_table: table.collect(),
        ..SubscriptionGroupTable::default()
    };
    Ok(Reply::json(body).with("totalGroupNum", groups.len()))
}

/// GET_TOPICS_BY_CLUSTER (224): what [`topic::list`] gives, of the one cluster that is here; nothing
/// of any other, as Apache has it.
pub(super) fn topics_of_cluster(session: &Session<'_>, header: Header<'_>) -> Answer {
    let is_here = header.text("cluster")? == session.broker.catalog.cluster().name;
    let topic_list = if is_here { topic::names(session) } else { Vec::new() };
    Ok(Reply::json(TopicList { topic_list, broker_addr: None }))
}

/// GET_SYSTEM_TOPIC_LIST_FROM_BROKER (305): the topics of [`system`].
pub(super) fn system_topics(session: &Session<'_>) -> Answer {
    let cluster = session.broker.catalog.cluster();
    let topic_list = system::names(&cluster).collect();
    Ok(Reply::json(TopicList { topic_list, broker_addr: None }))
}

/// The state of the catalog.
fn version(session: &Session<'_>) -> DataVersion {
    let revision = *session.broker.catalog.changed().borrow();
    DataVersion { counter: revision.0, ..DataVersion::default() }
}

/// The part of a table that is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    from: usize,
    rows_max: usize,
}

impl Page {
    const ALL: Page = Page { from: 0, rows_max: usize::MAX };

    /// `from` and `max` are the names of the fields. Who has pages of another state than `now`
    /// begins anew.
    fn read(
        header: Header<'_>,
        from: &'static str,
        max: &'static str,
        now: DataVersion,
    ) -> Result<Page, Refusal> {
        if header.optional(from).is_none() {
            return Ok(Page::ALL);
        }
        let had = header.optional("dataVersion").and_then(|text| serde_json::from_str(text).ok());
        let from = if had == Some(now) { header.number(from)? } else { 0 };
        let asked = header.optional(max).map(|_| header.number::<usize>(max)).transpose()?;
        Ok(Page { from, rows_max: asked.unwrap_or(usize::MAX).max(1) })
    }

    fn of<'a, T>(&self, rows: &'a [T]) -> impl Iterator<Item = &'a T> + use<'a, T> {
        rows.iter().skip(self.from).take(self.rows_max)
    }
}
