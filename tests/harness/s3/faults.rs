//! What goes wrong, and what is called on the way. Pure: the exchange asks once per request.

use super::request::{Asked, Which};
use std::time::{Duration, Instant};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503: nothing was done.
    SlowDown,
    /// 500: nothing was done.
    InternalError,
    /// The connection closes before anything is done.
    Dropped,
    /// It is carried out, and the connection closes instead of an answer.
    ReplyLost,
    /// It is neither carried out nor answered until the rule is lifted; then the connection closes.
    Hang,
    /// It is carried out, and not answered until the rule is lifted.
    HangAfter,
    /// It waits so long before it is carried out.
    Delay(Duration),
    /// Bodies pass no faster than so many bytes a second, in both directions.
    Slow(u64),
    /// Half of the body that is announced comes, then the connection closes.
    Truncated,
    /// A bit in the middle of the body comes wrong.
    FlippedBit,
}

/// A fault, and which requests it befalls: all unless more is said.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    fault: Fault,
    which: Which,
    percent: u32,
    times: Option<u32>,
    lasting: Option<Duration>,
}

impl Rule {
    pub(crate) fn new(fault: Fault, which: Which) -> Rule {
        Rule { fault, which, percent: 100, times: None, lasting: None }
    }

    /// Only a share of them, by a fixed sequence.
    pub(crate) fn percent(self, percent: u32) -> Rule {
        Rule { percent, ..self }
    }

    /// The first few only.
    pub(crate) fn times(self, times: u32) -> Rule {
        Rule { times: Some(times), ..self }
    }

    /// For some time from now on.
    pub(crate) fn lasting(self, time: Duration) -> Rule {
        Rule { lasting: Some(time), ..self }
    }
}

/// Called in the server's process, which may take its time.
pub(super) type Call = Box<dyn FnOnce(&Asked) + Send>;

struct Hook {
    which: Which,
    is_after: bool,
    /// How many more of them are let pass.
    left: u32,
    call: Option<Call>,
}

struct Active {
    id: u64,
    rule: Rule,
    until: Option<Instant>,
    befell: u32,
}

/// What is in force.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<Active>,
    hooks: Vec<Hook>,
    ids: u64,
    chance: u64,
}

/// What befalls one request.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// In the order of the rules, each with its rule's id.
    faults: Vec<(u64, Fault)>,
}

impl Faults {
    pub(super) fn add(&mut self, rule: Rule, now: Instant) -> u64 {
        self.ids += 1;
        let until = rule.lasting.map(|time| now + time);
        self.rules.push(Active { id: self.ids, rule, until, befell: 0 });
        self.ids
    }

    pub(super) fn lift(&mut self, id: u64) {
        self.rules.retain(|active| active.id != id);
    }

    pub(super) fn lift_all(&mut self) {
        self.rules.clear();
    }

    /// Whether a rule is in force, or when it ends by itself.
    pub(super) fn holds(&self, id: u64, now: Instant) -> Option<Option<Instant>> {
        let active = self.rules.iter().find(|active| active.id == id)?;
        match active.until {
            Some(until) if until <= now => None,
            until => Some(until),
        }
    }

    pub(super) fn hook(&mut self, which: Which, is_after: bool, nth: u32, call: Call) {
        let left = nth.saturating_sub(1);
        self.hooks.push(Hook { which, is_after, left, call: Some(call) });
    }

    /// The calls that are due for this request now.
    pub(super) fn calls(&mut self, asked: &Asked, is_after: bool) -> Vec<Call> {
        let mut due = Vec::new();
        for hook in &mut self.hooks {
            if hook.is_after == is_after && hook.which.matches(asked) {
                match hook.left.checked_sub(1) {
                    Some(left) => hook.left = left,
                    None => due.extend(hook.call.take()),
                }
            }
        }
        self.hooks.retain(|hook| hook.call.is_some());
        due
    }

    pub(super) fn fate(&mut self, asked: &Asked, now: Instant) -> Fate {
        let mut fate = Fate::default();
        for active in &mut self.rules {
            let is_over = active.until.is_some_and(|until| until <= now)
                || active.rule.times.is_some_and(|times| times <= active.befell);
            if is_over || !active.rule.which.matches(asked) {
                continue;
            }
            // Weyl's sequence through a mixer: the same requests meet the same fate in each run.
            self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.chance ^ (self.chance >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            if (mixed >> 33) % 100 < u64::from(active.rule.percent) {
                active.befell += 1;
                fate.faults.push((active.id, active.rule.fault));
            }
        }
        fate
    }
}

impl Fate {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.rule(fault).is_some()
    }

    /// The rule that brings a fault.
    pub(super) fn rule(&self, fault: Fault) -> Option<u64> {
        self.faults.iter().find(|(_, known)| *known == fault).map(|(id, _)| *id)
    }

    pub(super) fn delay(&self) -> Duration {
        let delay =
            |fault: Fault| if let Fault::Delay(time) = fault { time } else { Duration::ZERO };
        self.faults.iter().map(|(_, fault)| delay(*fault)).sum()
    }

    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        let rate = |fault: Fault| if let Fault::Slow(rate) = fault { Some(rate) } else { None };
        self.faults.iter().filter_map(|(_, fault)| rate(*fault)).min()
    }

    /// Whether the client is kept from a whole and true answer.
    pub(super) fn fails(&self) -> bool {
        self.faults.iter().any(|(_, fault)| !matches!(fault, Fault::Delay(_) | Fault::Slow(_)))
    }
}
