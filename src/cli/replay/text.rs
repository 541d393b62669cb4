//! What people read about replays, and how they write rates and prices.

use super::super::print::{bytes, count, fields, table, time};
use crate::serve::parse_bytes;
use gateway::admin::api::{Replay, ReplayEstimate, ReplayInto, ReplayList, ReplayPut};

/// `5000/s`, `5000`.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse();
    number.ok().filter(|rate| *rate > 0).ok_or_else(|| format!("{text:?} is no rate; try 5000/s"))
}

/// `20MiB/s`.
pub(super) fn byte_rate(text: &str) -> Result<u64, String> {
    match parse_bytes(text.strip_suffix("/s").unwrap_or(text)) {
        Ok(rate) if rate > 0 => Ok(rate),
        Ok(_) | Err(_) => Err(format!("{text:?} is no rate of bytes; try 20MiB/s")),
    }
}

/// `0.40`, in millionths.
pub(super) fn dollars(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no price in dollars; try 0.40");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let millionths: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    whole.checked_mul(1_000_000).and_then(|sum| sum.checked_add(millionths)).ok_or_else(wrong)
}

/// As many digits as it takes to be more than nothing.
fn price(micro_usd: u64) -> String {
    let text = format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000);
    let digits = if micro_usd >= 10_000 { 2 } else { 6 };
    format!("${}", &text[..text.len() - 6 + digits])
}

fn duration(ms: u64) -> String {
    let s = ms.div_ceil(1000);
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

fn into(into: &ReplayInto) -> String {
    match into {
        ReplayInto::Topic(topic) => format!("into topic {topic}"),
        ReplayInto::Group(group) => format!("to group {group}"),
        ReplayInto::Origin => "into the topics that they were of".to_owned(),
    }
}

pub(super) fn estimated(asked: &ReplayPut, estimate: &ReplayEstimate) -> String {
    let ReplayEstimate { messages, gets, puts, exact, complete, .. } = *estimate;
    let more = if complete { "" } else { "at least " };
    let fewer = if exact { "as many" } else { "at most as many" };
    format!(
        "would read {more}{} ({}) of topic {}, with {}\n\
         would write {fewer} {}, with {}\n\
         estimated cost: {more}{} once, and {} a month for keeping the copies\n",
        count(messages, "message"),
        bytes(estimate.bytes),
        asked.source,
        count(gets, "GET"),
        into(&asked.into),
        count(puts, "PUT"),
        price(estimate.cost_once_micro_usd),
        price(estimate.cost_monthly_micro_usd)
    )
}

pub(super) fn begun(replay: &Replay, new: bool) -> String {
    let Replay { name, source, state, .. } = replay;
    let into = into(&replay.into);
    if new {
        format!(
            "began replay {name}: topic {source} {into}\nsee it with: stratamq replay show {name}\n"
        )
    } else {
        format!("there is replay {name}, which is {state}: topic {source} {into}\n")
    }
}

pub(super) fn goes_on(name: &str) -> String {
    format!(
        "\nreplay {name} goes on; watch it again: stratamq replay show {name} --follow\n\
         end it: stratamq replay cancel {name}"
    )
}

/// Where it stands, in a line.
pub(super) fn line(replay: &Replay) -> String {
    let progress = &replay.progress;
    let left = progress.left_ms.map_or(String::new(), |ms| format!(", {} left", duration(ms)));
    format!(
        "replay {}: {} of {} passed, {} written at {}/s{left}",
        replay.name, progress.passed, progress.range, progress.written, progress.rate_per_s
    )
}

pub(super) fn ended(replay: &Replay) -> String {
    let progress = &replay.progress;
    let left_out = match progress.left_out {
        0 => String::new(),
        n => format!("{} left out: unreadable, or of a topic that is gone\n", count(n, "message")),
    };
    format!(
        "replay {} is {}: {} ({}) written {} in {}, {} read\n{left_out}",
        replay.name,
        replay.state,
        count(progress.written, "message"),
        bytes(progress.written_bytes),
        into(&replay.into),
        duration(progress.active_ms),
        progress.read
    )
}

pub(super) fn listed(list: &ReplayList) -> String {
    if list.replays.is_empty() {
        return "there is no replay yet\n\
                begin one with: stratamq replay TOPIC --from 2h --into OTHER\n"
            .to_owned();
    }
    let row = |replay: &Replay| {
        let progress = &replay.progress;
        let numbers = [progress.passed, progress.range, progress.written, progress.rate_per_s];
        let words = [&replay.name, &replay.state, &replay.source].map(String::clone);
        let words = words.into_iter().chain([into(&replay.into)]);
        words.chain(numbers.map(|n| n.to_string())).collect()
    };
    let rows: Vec<Vec<String>> = list.replays.iter().map(row).collect();
    table(&["REPLAY", "STATE", "OF TOPIC", "WHERE TO", "PASSED", "OF", "WRITTEN", "PER S"], &rows)
}

pub(super) fn described(replay: &Replay) -> String {
    let progress = &replay.progress;
    let limit = |limit: Option<String>| limit.unwrap_or_else(|| "none".to_owned());
    let mut pairs = vec![
        ("replay", replay.name.clone()),
        ("state", replay.state.clone()),
        ("of topic", replay.source.clone()),
        ("from", time(replay.from_ms)),
        ("until", time(replay.until_ms)),
        ("where to", into(&replay.into)),
    ];
    let optional = [("why", &replay.why), ("tags", &replay.tags), ("key", &replay.key)];
    pairs.extend(optional.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
    let messages = replay.messages_per_s.map(|n| format!("{n} messages/s"));
    let size = replay.bytes_per_s.map(|n| format!("{}/s", bytes(n)));
    let limits = [messages, size].into_iter().flatten().reduce(|a, b| format!("{a}, {b}"));
    pairs.extend([
        ("limit", limit(limits)),
        ("gateway", replay.gateway.clone()),
        ("made", time(replay.created_ms)),
        ("passed", format!("{} of {}", progress.passed, progress.range)),
        ("read", format!("{} ({})", progress.read, bytes(progress.read_bytes))),
        ("written", format!("{} ({})", progress.written, bytes(progress.written_bytes))),
        ("left out", progress.left_out.to_string()),
        ("GETs", progress.gets.to_string()),
        ("at work", duration(progress.active_ms)),
        ("rate", format!("{} messages/s", progress.rate_per_s)),
    ]);
    pairs.extend(progress.left_ms.map(|ms| ("to go", duration(ms))));
    fields(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_prices_are_read() {
        assert_eq!((rate("5000/s"), rate("7")), (Ok(5000), Ok(7)));
        assert_eq!((byte_rate("20MiB/s"), byte_rate("512")), (Ok(20 << 20), Ok(512)));
        assert_eq!((dollars("0.4"), dollars("12")), (Ok(400_000), Ok(12_000_000)));
        for text in ["", "0/s", "-1/s", "5000/min", "x"] {
            assert!(rate(text).is_err() && byte_rate(text).is_err(), "{text}");
        }
        for text in ["", ".4", "-1", "1.2.3", "0.0000001", "$1", "99999999999999"] {
            assert!(dollars(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_price_is_more_than_nothing_where_it_is() {
        let said = [0, 5, 9_999, 10_000, 1_234_567].map(price);
        assert_eq!(said, ["$0.000000", "$0.000005", "$0.009999", "$0.01", "$1.23"]);
    }

    #[test]
    fn a_dry_run_says_what_it_does_not_know() {
        let asked = ReplayPut {
            source: "orders".into(),
            from_ms: None,
            to_ms: None,
            tags: None,
            key: Some("k".into()),
            sql: None,
            into: ReplayInto::Group("readers".into()),
            messages_per_s: None,
            bytes_per_s: None,
            dry_run: true,
            prices: None,
        };
        let estimate = ReplayEstimate {
            dry_run: true,
            messages: 1,
            bytes: 2048,
            gets: 3,
            puts: 1,
            exact: false,
            complete: false,
            cost_once_micro_usd: 7,
            cost_monthly_micro_usd: 0,
        };
        assert_eq!(
            estimated(&asked, &estimate),
            "would read at least 1 message (2.0 KiB) of topic orders, with 3 GETs\n\
             would write at most as many to group readers, with 1 PUT\n\
             estimated cost: at least $0.000007 once, and $0.000000 a month for keeping the copies\n"
        );
    }
}
