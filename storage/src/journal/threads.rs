//! The store's threads.
//!
//! Whoever needs a group written writes it. The writer's thread does where somebody waits for the
//! journal alone, or where much waits to be synced; the syncer does before each sync for what waits
//! to be synced, so that one wake-up does where there were two, and one frame holds what came while
//! the last sync ran. They take turns at one [`Writer`], behind a lock: what is written is in the
//! order of the inbox whoever writes it.

use super::config::Error;
use super::inbox::Wake;
use super::preparer::Preparer;
use super::shared::Shared;
use super::syncer::Syncer;
use super::writer::Writer;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// How long nothing must come before the writer sees to what is left: a NOOP that records the last
/// sync. Long against a sync, so that a steady trickle of messages does not write two blocks each.
const QUIET: Duration = Duration::from_millis(100);

/// Starts all of them.
pub(crate) fn start(
    shared: &Arc<Shared>,
    writer: Writer,
    syncer: Syncer,
    preparer: Preparer,
) -> Result<(), Error> {
    let writer = Arc::new(Mutex::new(writer));
    let of_syncer = Arc::clone(&writer);
    spawn(shared, "journal-writer", move |shared| write_loop(shared, &writer))?;
    spawn(shared, "journal-syncer", move |shared| sync_loop(shared, &of_syncer, syncer))?;
    spawn(shared, "journal-prepare", move |shared| prepare_loop(shared, preparer))
}

fn write_loop(shared: &Shared, writer: &Mutex<Writer>) {
    loop {
        let limit = writer.lock().has_idle_work().then_some(QUIET);
        match shared.inbox.wait(limit) {
            Wake::Items => writer.lock().write(),
            Wake::Idle => writer.lock().idle(),
            Wake::Reminded => {}
            Wake::Drained => return writer.lock().close(),
            Wake::Stopped => return,
        }
    }
}

fn sync_loop(shared: &Shared, writer: &Mutex<Writer>, mut syncer: Syncer) {
    while shared.handoff.wait() {
        if write_before_sync(&mut writer.lock()) {
            shared.inbox.remind();
        }
        if !syncer.sync() {
            break;
        }
    }
    shared.end_all();
}

/// Writes what waits. True when that left something for a quiet moment, where nothing was left
/// before.
fn write_before_sync(writer: &mut Writer) -> bool {
    let had = writer.has_idle_work();
    writer.write();
    !had && writer.has_idle_work()
}

fn prepare_loop(shared: &Shared, mut preparer: Preparer) {
    while !shared.inbox.is_stopped() {
        let again = [preparer.prepare(), preparer.cool()];
        shared.space.wait_for_work(again.into_iter().flatten().min());
    }
}

/// Runs a part of the store on its own thread. Should it panic, the store is in no state to go on.
fn spawn(
    shared: &Arc<Shared>,
    name: &'static str,
    body: impl FnOnce(&Shared) + Send + 'static,
) -> Result<(), Error> {
    shared.thread_begins();
    let held = Arc::clone(shared);
    let started = shared.env.thread(name, move || {
        if catch_unwind(AssertUnwindSafe(|| body(&held))).is_err() {
            held.poison(name, &std::io::Error::other("panicked"));
        }
        held.thread_ends();
    });
    match started {
        Ok(_) => Ok(()),
        Err(source) => {
            shared.thread_ends();
            Err(Error::Thread { name, source })
        }
    }
}
