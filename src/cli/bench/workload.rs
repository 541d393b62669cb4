//! What is sent: sizes, keys and message groups, drawn from distributions.

use super::random::Random;
use bytes::{BufMut, Bytes, BytesMut};
use clap::ValueEnum;
use protocol::grpc::v2 as pb;
use protocol::stored::GrpcId;
use std::str::FromStr;
use std::time::Duration;
use storage::env::Timestamp;

/// RocketMQ's limit for one body.
const BODY_BYTES_MAX: u64 = 4 << 20;
/// A table of weights is kept for so many names.
const NAMES_MAX: u32 = 1 << 20;
/// What an end-to-end body begins with: the run's mark and the moment at which it was due.
pub(super) const STAMP_BYTES: usize = 16;

/// Body sizes: `1KiB`, `100-4KiB` (even between the two), or `1KiB=90,64KiB=10` (weights).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    Between { least: u64, most: u64 },
    Mix { entries: Vec<(u64, u64)>, weights: u64 },
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        if text.contains('=') {
            return mix(text);
        }
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let (least, most) = (bytes(least)?, bytes(most)?);
        if least > most {
            return Err(format!("{text:?} begins above its end"));
        }
        Ok(Sizes::Between { least, most })
    }
}

fn mix(text: &str) -> Result<Sizes, String> {
    let entry = |part: &str| -> Result<(u64, u64), String> {
        let malformed = || format!("{part:?} is no SIZE=WEIGHT");
        let (size, weight) = part.split_once('=').ok_or_else(malformed)?;
        Ok((bytes(size)?, weight.trim().parse().map_err(|_| malformed())?))
    };
    let entries = text.split(',').map(entry).collect::<Result<Vec<_>, _>>()?;
    let weights = entries.iter().try_fold(0_u64, |sum, (_, weight)| sum.checked_add(*weight));
    match weights {
        Some(weights) if weights > 0 => Ok(Sizes::Mix { entries, weights }),
        Some(_) | None => Err(format!("{text:?} has no weight")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no size; try 1KiB"))?;
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        other => return Err(format!("unknown unit {other:?}; use KiB or MiB")),
    };
    let size = number.checked_mul(unit).filter(|size| (1..=BODY_BYTES_MAX).contains(size));
    size.ok_or_else(|| format!("{text:?}: a body has 1 byte to 4 MiB"))
}

impl Sizes {
    fn draw(&self, random: &mut Random) -> usize {
        let size = match self {
            Sizes::Between { least, most } => least + random.below(most - least + 1),
            Sizes::Mix { entries, weights } => {
                let mut at = random.below(*weights);
                let found = entries.iter().find(|(_, weight)| {
                    let here = at < *weight;
                    at = at.saturating_sub(*weight);
                    here
                });
                found.map_or(1, |(size, _)| *size)
            }
        };
        usize::try_from(size).unwrap_or(1)
    }

    fn most(&self) -> usize {
        let most = match self {
            Sizes::Between { most, .. } => *most,
            Sizes::Mix { entries, .. } => entries.iter().map(|(size, _)| *size).max().unwrap_or(1),
        };
        usize::try_from(most).unwrap_or(1)
    }

    fn least(&self) -> usize {
        let least = match self {
            Sizes::Between { least, .. } => *least,
            Sizes::Mix { entries, .. } => entries.iter().map(|(size, _)| *size).min().unwrap_or(1),
        };
        usize::try_from(least).unwrap_or(1)
    }
}

/// How often each of several names is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Spread {
    /// All alike.
    Uniform,
    /// The nth as often as 1/n: a few are hot.
    Zipf,
}

/// Names, and how often each is taken.
#[derive(Clone, Debug)]
struct Names {
    count: u64,
    /// For `Zipf`: the share of the names up to this one, rising to 1.
    shares: Vec<f64>,
}

impl Names {
    fn new(count: u32, spread: Spread) -> Names {
        let mut shares = Vec::new();
        if spread == Spread::Zipf {
            let weight = |n: u32| 1.0 / f64::from(n);
            let all: f64 = (1..=count).map(weight).sum();
            let mut sum = 0.0;
            shares.extend((1..=count).map(|n| {
                sum += weight(n) / all;
                sum
            }));
        }
        Names { count: count.into(), shares }
    }

    fn draw(&self, random: &mut Random) -> Option<u64> {
        match (self.count, self.shares.is_empty()) {
            (0, _) => None,
            (count, true) => Some(random.below(count)),
            (count, false) => {
                let at = random.unit();
                let found = self.shares.partition_point(|share| *share < at);
                Some(u64::try_from(found).unwrap_or(u64::MAX).min(count - 1))
            }
        }
    }
}

/// What the messages of a run are like.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) topic: String,
    pub(super) sizes: Sizes,
    /// Different keys; 0 for messages without key. At most [`NAMES_MAX`].
    pub(super) keys: u32,
    pub(super) key_spread: Spread,
    /// Different message groups; 0 for messages that are not FIFO. At most [`NAMES_MAX`].
    pub(super) groups: u32,
    pub(super) group_spread: Spread,
    pub(super) tag: Option<String>,
    pub(super) seed: u64,
    /// Whether bodies say when they were due.
    pub(super) stamped: bool,
}

/// Makes messages; one for each task that sends.
#[derive(Clone)]
pub(super) struct Kitchen {
    recipe: Recipe,
    random: Random,
    keys: Names,
    groups: Names,
    /// Bodies are slices of it: no copy, and nothing that compresses.
    flour: Bytes,
    ids: GrpcId,
    mark: u64,
}

impl Kitchen {
    /// `mark` tells the messages of this run from others.
    ///
    /// # Errors
    /// A sentence when the recipe cannot be followed.
    pub(super) fn new(recipe: Recipe, mark: u64, now: Timestamp) -> Result<Kitchen, String> {
        if recipe.keys > NAMES_MAX || recipe.groups > NAMES_MAX {
            return Err(format!("at most {NAMES_MAX} keys and message groups"));
        }
        if recipe.stamped && recipe.sizes.least() < STAMP_BYTES {
            return Err(format!("an end-to-end body has at least {STAMP_BYTES} bytes"));
        }
        let mut random = Random::seeded(recipe.seed);
        let flour = Bytes::from(random.bytes(recipe.sizes.most() * 2));
        let [first, b, c, d, e, f, ..] = mark.to_be_bytes();
        let ids = GrpcId {
            // The bit that no network card has.
            mac: [first | 1, b, c, d, e, f],
            process: 0,
            seconds: u32::try_from((now.0 / 1000).saturating_sub(GrpcId::EPOCH_SECONDS))
                .unwrap_or(u32::MAX),
            sequence: 0,
        };
        let keys = Names::new(recipe.keys, recipe.key_spread);
        let groups = Names::new(recipe.groups, recipe.group_spread);
        Ok(Kitchen { recipe, random, keys, groups, flour, ids, mark })
    }

    /// The same recipe for the `n`th of several that work at once, `n` below 65536.
    pub(super) fn apprentice(&self, n: u16) -> Kitchen {
        let mut kitchen = self.clone();
        kitchen.random = Random::seeded(self.recipe.seed ^ (u64::from(n) + 1).rotate_left(32));
        kitchen.ids.process = n;
        kitchen
    }

    /// A message that was due at `due` (time since the run's clock began) and is made at `now`.
    pub(super) fn message(&mut self, due: Duration, now: Timestamp) -> pb::Message {
        let group = self.groups.draw(&mut self.random).map(|n| format!("group-{n}"));
        let kind = if group.is_some() { pb::MessageType::Fifo } else { pb::MessageType::Normal };
        let key = self.keys.draw(&mut self.random).map(|n| format!("key-{n}"));
        self.ids.sequence = self.ids.sequence.wrapping_add(1);
        let born = prost_types::Timestamp {
            seconds: i64::try_from(now.0 / 1000).unwrap_or(i64::MAX),
            nanos: i32::try_from(now.0 % 1000).unwrap_or(0) * 1_000_000,
        };
        pb::Message {
            topic: Some(resource(&self.recipe.topic)),
            system_properties: Some(pb::SystemProperties {
                tag: self.recipe.tag.clone(),
                keys: key.into_iter().collect(),
                message_id: self.ids.to_string(),
                body_encoding: pb::Encoding::Identity as i32,
                message_type: kind as i32,
                born_timestamp: Some(born),
                born_host: "bench".to_owned(),
                message_group: group,
                ..pb::SystemProperties::default()
            }),
            body: self.body(due),
            ..pb::Message::default()
        }
    }

    fn body(&mut self, due: Duration) -> Bytes {
        let size = self.recipe.sizes.draw(&mut self.random);
        let room = u64::try_from(self.flour.len() - size).unwrap_or(0);
        let from = usize::try_from(self.random.below(room + 1)).unwrap_or(0);
        let flour = self.flour.slice(from..from + size);
        if !self.recipe.stamped {
            return flour;
        }
        let mut body = BytesMut::with_capacity(size);
        body.put_u64(self.mark);
        body.put_u64(u64::try_from(due.as_nanos()).unwrap_or(u64::MAX));
        body.put_slice(&flour[STAMP_BYTES..]);
        body.freeze()
    }
}

/// When a stamped body was due; `None` for one of another run.
pub(super) fn due_of(body: &[u8], mark: u64) -> Option<Duration> {
    let (stamp, due) = (body.first_chunk::<8>()?, body.get(8..)?.first_chunk::<8>()?);
    (u64::from_be_bytes(*stamp) == mark).then(|| Duration::from_nanos(u64::from_be_bytes(*due)))
}

pub(super) fn resource(name: &str) -> pb::Resource {
    pb::Resource { resource_namespace: String::new(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(sizes: &str) -> Recipe {
        Recipe {
            topic: "t".into(),
            sizes: sizes.parse().unwrap(),
            keys: 10,
            key_spread: Spread::Zipf,
            groups: 0,
            group_spread: Spread::Uniform,
            tag: None,
            seed: 1,
            stamped: true,
        }
    }

    #[test]
    fn sizes_are_read_in_every_form() {
        assert_eq!("1KiB".parse(), Ok(Sizes::Between { least: 1024, most: 1024 }));
        assert_eq!("100-1K".parse(), Ok(Sizes::Between { least: 100, most: 1024 }));
        let entries = vec![(1024, 90), (65536, 10)];
        assert_eq!("1KiB=90,64KiB=10".parse(), Ok(Sizes::Mix { entries, weights: 100 }));
        for text in ["", "0", "5MiB", "2-1", "1KiB=", "1KiB=0", "1GB", "a"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }

    #[test]
    fn drawn_sizes_follow_their_weights() {
        let sizes: Sizes = "10=9,1000=1".parse().unwrap();
        let mut random = Random::seeded(3);
        let large = (0..10_000).filter(|_| sizes.draw(&mut random) == 1000).count();
        assert!((900..1100).contains(&large), "{large}");
        let sizes: Sizes = "5-7".parse().unwrap();
        assert!((0..1000).all(|_| (5..=7).contains(&sizes.draw(&mut random))));
    }

    #[test]
    fn hot_names_are_taken_more_often() {
        let names = Names::new(100, Spread::Zipf);
        let mut random = Random::seeded(3);
        let mut taken = [0_u32; 100];
        for _ in 0..10_000 {
            taken[usize::try_from(names.draw(&mut random).unwrap()).unwrap()] += 1;
        }
        assert!(taken[0] > 8 * taken[9] && taken[0] > 1_500, "{taken:?}");
    }

    #[test]
    fn a_stamped_body_says_when_it_was_due_and_whose_it_is() {
        let mut kitchen = Kitchen::new(recipe("16-64"), 42, Timestamp(1)).unwrap().apprentice(3);
        let due = Duration::from_nanos(123_456_789);
        let message = kitchen.message(due, Timestamp(1));
        assert_eq!(due_of(&message.body, 42), Some(due));
        assert_eq!(due_of(&message.body, 43), None);
        assert!(Kitchen::new(recipe("8"), 42, Timestamp(1)).is_err());
    }

    #[test]
    fn messages_made_at_once_have_different_ids() {
        let kitchen = Kitchen::new(recipe("16"), 42, Timestamp(1)).unwrap();
        let (mut a, mut b) = (kitchen.apprentice(0), kitchen.apprentice(1));
        let id = |kitchen: &mut Kitchen| {
            let message = kitchen.message(Duration::ZERO, Timestamp(1));
            message.system_properties.unwrap().message_id
        };
        let ids = std::collections::HashSet::from([id(&mut a), id(&mut a), id(&mut b), id(&mut b)]);
        assert_eq!(ids.len(), 4);
    }
}
