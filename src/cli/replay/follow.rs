//! Watching a replay: a bar on a terminal, a line now and then elsewhere.

use super::super::failure::{Exit, Failure};
use super::super::http::{Admin, path};
use super::super::meter::Meter;
use super::super::print::{Printer, aside};
use super::{text, unknown};
use gateway::admin::api::Replay;
use std::io::IsTerminal;
use std::time::Duration;
use storage::env::Env;

/// How often it is asked how far it is; it says so once a second.
const EVERY: Duration = Duration::from_millis(500);
/// A line where there is no bar.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// A broker that starts again is waited for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Until it is over or rests, or the user has seen enough.
pub(super) async fn to_the_end(
    admin: &Admin,
    name: &str,
    printer: &mut Printer,
    json: bool,
) -> Result<(), Failure> {
    // Both branches are cancel safe: nothing is lost with a look at a replay.
    let replay = tokio::select! {
        replay = ended(admin, name, json) => replay?,
        _ = tokio::signal::ctrl_c() => {
            aside(&text::goes_on(name), json);
            return Ok(());
        }
    };
    if let Some(why) = &replay.why {
        return Err(Failure::refused(format!("replay {name} failed: {why}"))
            .hint(format!("what it wrote stays; how far it came: stratamq replay show {name}")));
    }
    printer.show(&replay, || text::ended(&replay))
}

async fn ended(admin: &Admin, name: &str, json: bool) -> Result<Replay, Failure> {
    let (env, path) = (Env::system(), path("replays", name));
    let mut meter = Meter::new("passed", None, json).alone(json);
    let plain = !std::io::stderr().is_terminal();
    let (mut line_at, mut heard) = (env.monotonic() + LINE_EVERY, env.monotonic());
    loop {
        let now = env.monotonic();
        match admin.get::<Replay>(&path).await {
            Ok(replay) if replay.state != "running" => return Ok(replay),
            Ok(replay) => {
                heard = now;
                meter.of(replay.progress.range);
                meter.at(replay.progress.passed);
                if plain && now >= line_at {
                    line_at = now + LINE_EVERY;
                    aside(&text::line(&replay), json);
                }
            }
            // It goes on when the broker is back.
            Err(lost) if lost.exit == Exit::Unreachable && now < heard + PATIENCE => {}
            Err(failure) => return Err(unknown(failure)),
        }
        env.sleep(EVERY).await;
    }
}
