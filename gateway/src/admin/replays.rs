//! Replays over HTTP.

use super::api;
use super::problem::{Body, Name, Problem};
use crate::broker::Broker;
use crate::consume::filter::FilterRefused;
use crate::replay::{Estimate, Outlook, Prices, ReplayRefused, SourceRefused};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use metadata::model::{
    Destination, Job, JobFilter, JobName, JobProgress, JobSpec, JobState, Limits,
};
use protocol::names::{GroupName, NameRefused, TopicName};
use std::sync::Arc;
use std::time::Duration;
use storage::env::Timestamp;

type Answer<T> = Result<T, Problem>;

pub(super) async fn list(State(broker): State<Arc<Broker>>) -> Json<api::ReplayList> {
    let jobs = broker.catalog.jobs();
    Json(api::ReplayList { replays: jobs.iter().map(|job| view(job)).collect() })
}

pub(super) async fn show(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<Json<api::Replay>> {
    let job = broker.catalog.job(&name).ok_or_else(|| {
        Problem::missing(format!("replay {name} does not exist"))
            .hint("GET /v1/replays lists what there is")
    })?;
    Ok(Json(view(&job)))
}

pub(super) async fn put(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
    Body(wanted): Body<api::ReplayPut>,
) -> Answer<Response> {
    let (name, prices) = (job_name(&name)?, wanted.prices);
    let dry_run = wanted.dry_run;
    let spec = spec(wanted)?;
    if dry_run {
        let estimate = broker.replays.estimate(&spec).await?;
        return Ok(Json(estimate_view(&estimate, prices)).into_response());
    }
    let (job, made) = broker.replays.create(&name, &spec).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&job))).into_response())
}

pub(super) async fn pause(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<Json<api::Replay>> {
    Ok(Json(view(&*broker.replays.pause(&job_name(&name)?).await?)))
}

pub(super) async fn resume(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<Json<api::Replay>> {
    Ok(Json(view(&*broker.replays.resume(&job_name(&name)?).await?)))
}

pub(super) async fn cancel(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<StatusCode> {
    broker.replays.cancel(&job_name(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn job_name(name: &str) -> Answer<JobName> {
    JobName::parse(name).ok_or_else(|| {
        Problem::invalid(format!("{name:?} is no name for a replay"))
            .hint("use letters, digits, '.', '_' and '-', at most 128")
    })
}

/// What is asked for, checked as far as a look at nothing else tells.
fn spec(wanted: api::ReplayPut) -> Answer<JobSpec> {
    let refused = |refused: NameRefused| Problem::invalid(refused.to_string());
    let topic = |name: &str| TopicName::parse_stored(name).map_err(refused);
    let filter = match (wanted.tags, wanted.key, wanted.sql) {
        (None, None, None) => JobFilter::All,
        (Some(tags), None, None) => JobFilter::Tags(tags),
        (None, Some(key), None) => JobFilter::Key(key),
        (None, None, Some(_)) => return Err(ReplayRefused::Filter(FilterRefused::Sql).into()),
        _ => {
            return Err(Problem::invalid("a replay has one filter")
                .hint("give one of tags, key and sql, or none of them"));
        }
    };
    let into = match wanted.into {
        api::ReplayInto::Topic(name) => Destination::Topic(topic(&name)?),
        api::ReplayInto::Group(name) => {
            Destination::Group(GroupName::parse(&name).map_err(refused)?)
        }
        api::ReplayInto::Origin => Destination::Origin,
    };
    Ok(JobSpec {
        source: topic(&wanted.source)?,
        from: Timestamp(wanted.from_ms.unwrap_or(0)),
        to: Timestamp(wanted.to_ms.unwrap_or(u64::MAX)),
        filter,
        into,
        limits: Limits { messages: wanted.messages_per_s, bytes: wanted.bytes_per_s },
    })
}

fn view(job: &Job) -> api::Replay {
    let JobSpec { source, from, filter, into, limits, .. } = &job.spec;
    let (tags, key) = match filter {
        JobFilter::All => (None, None),
        JobFilter::Tags(tags) => (Some(tags.clone()), None),
        JobFilter::Key(key) => (None, Some(key.clone())),
    };
    let why = match &job.state {
        JobState::Failed(why) => Some(why.clone()),
        JobState::Running | JobState::Paused | JobState::Done | JobState::Cancelled => None,
    };
    api::Replay {
        name: job.name.to_string(),
        id: job.id,
        source: source.to_string(),
        from_ms: from.0,
        until_ms: job.until.0,
        tags,
        key,
        into: match into {
            Destination::Topic(name) => api::ReplayInto::Topic(name.to_string()),
            Destination::Group(name) => api::ReplayInto::Group(name.to_string()),
            Destination::Origin => api::ReplayInto::Origin,
        },
        messages_per_s: limits.messages,
        bytes_per_s: limits.bytes,
        state: job.state.as_str().to_owned(),
        why,
        gateway: job.runner.gateway.to_string(),
        created_ms: job.created.0,
        updated_ms: job.updated.0,
        progress: progress_view(job),
    }
}

fn progress_view(job: &Job) -> api::ReplayProgress {
    let Outlook { range, rate, left } = Outlook::of(job);
    let JobProgress { passed, read, read_bytes, gets, written, written_bytes, .. } = job.progress;
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    api::ReplayProgress {
        range,
        passed,
        read,
        read_bytes,
        gets,
        written,
        written_bytes,
        left_out: job.progress.left_out,
        active_ms: ms(job.progress.active),
        rate_per_s: rate,
        left_ms: left.map(ms),
    }
}

fn estimate_view(estimate: &Estimate, prices: Option<api::ReplayPrices>) -> api::ReplayEstimate {
    let prices = prices.map_or(Prices::STANDARD, |prices| Prices {
        gets_million: prices.gets_million,
        puts_million: prices.puts_million,
        gib_month: prices.gib_month,
    });
    let Estimate { messages, bytes, gets, exact, complete } = *estimate;
    api::ReplayEstimate {
        dry_run: true,
        messages,
        bytes,
        gets,
        puts: estimate.puts(),
        exact,
        complete,
        cost_once_micro_usd: estimate.cost_once(&prices),
        cost_monthly_micro_usd: estimate.cost_monthly(&prices),
    }
}

/// The one place where refusals of replays become statuses.
impl From<ReplayRefused> for Problem {
    fn from(refused: ReplayRefused) -> Problem {
        let text = refused.to_string();
        match refused {
            ReplayRefused::NoSource(_) | ReplayRefused::NoTopic(_) => Problem::missing(text)
                .hint("GET /v1/topics lists topics; PUT /v1/topics/NAME makes one"),
            ReplayRefused::NoGroup(_) => Problem::missing(text)
                .hint("GET /v1/groups lists groups; PUT /v1/groups/NAME makes one"),
            ReplayRefused::Empty(_) | ReplayRefused::NotWritable(_) => {
                Problem::invalid(text).hint("choose another topic")
            }
            ReplayRefused::NoOrigin(_) => {
                Problem::invalid(text).hint("only dead letters do: say which topic or which group")
            }
            ReplayRefused::EmptyRange { .. } => {
                Problem::invalid(text).hint("from_ms must be less than to_ms")
            }
            ReplayRefused::Ahead => {
                Problem::invalid(text).hint("a replay is of what was stored before it was made")
            }
            ReplayRefused::NoRate => {
                Problem::invalid(text).hint("leave the limit out to have none; or pause the replay")
            }
            ReplayRefused::NoKey => Problem::invalid(text).hint("leave it out for all messages"),
            ReplayRefused::Filter(FilterRefused::Sql) => {
                Problem::invalid("SQL filters are not served by this version")
                    .hint("filter by tags or by a key")
            }
            ReplayRefused::Filter(FilterRefused::NoTag) => {
                Problem::invalid(text).hint("name tags between ||, or leave it out")
            }
            ReplayRefused::Over { .. } => {
                Problem::conflict(text).hint("make another one, under another name")
            }
            ReplayRefused::Busy => Problem::unavailable(text).hint("ask again soon"),
            ReplayRefused::Source(SourceRefused::Broken(_)) => {
                Problem::internal(text).hint("the gateway's log says more")
            }
            ReplayRefused::Source(
                SourceRefused::NotServedHere(_) | SourceRefused::Unavailable(_),
            ) => Problem::unavailable(text).hint("nothing was done; ask again"),
            ReplayRefused::Catalog(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Answer<JobSpec> {
        spec(serde_json::from_str(body).unwrap())
    }

    #[test]
    fn what_is_left_out_is_everything() {
        let spec = read(r#"{"source":"a","into":{"topic":"b"}}"#).unwrap();
        assert_eq!((spec.from, spec.to), (Timestamp(0), Timestamp(u64::MAX)));
        assert_eq!((spec.filter, spec.limits), (JobFilter::All, Limits::default()));
        let dead = read(r#"{"source":"%DLQ%g","into":"origin"}"#).unwrap();
        assert_eq!(dead.into, Destination::Origin);
    }

    #[test]
    fn two_filters_sql_and_names_that_are_none_are_refused() {
        for body in [
            r#"{"source":"a","into":{"topic":"b"},"tags":"x","key":"k"}"#,
            r#"{"source":"a","into":{"topic":"b"},"sql":"x = 1"}"#,
            r#"{"source":"a b","into":{"topic":"b"}}"#,
            r#"{"source":"a","into":{"group":""}}"#,
        ] {
            assert_eq!(read(body).unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }
    }
}
