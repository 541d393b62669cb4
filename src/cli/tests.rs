//! Arguments as people type them, and failures as people read them.

use super::Command;
use super::failure::{Exit, Failure};
use clap::{CommandFactory, Parser};

#[derive(Debug, Parser)]
#[command(name = "stratamq")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("stratamq").chain(line.split(' '));
    Cli::try_parse_from(words).map(|cli| cli.command)
}

#[test]
fn the_commands_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn what_the_hints_say_can_be_typed() {
    for line in [
        "topic create hello",
        "topic create hello --queues 4 --kind fifo --durability local --attribute a=b --if-missing",
        "topic list --json",
        "topic describe hello --admin 127.0.0.1:9000",
        "topic update orders --queues 32 --permission r --attribute a=b --remove-attribute c",
        "topic delete hello --yes",
        "topic delete hello --dry-run",
        "group create readers --max-attempts 5 --order fifo --retry 1s,10s,1m",
        "group describe readers",
        "group update readers --enabled false",
        "group delete readers --yes",
        "group lag readers --topic orders",
        "group reset readers orders --to 2h --dry-run",
        "group reset readers orders --to latest --yes",
        "group reset readers orders --to 2026-08-05T14:00Z",
        "group reset readers orders --offset strata-0000/0=17 --offset strata-0001/0=1",
        "message get 01D09B4CFE3F0A0B9C00000000 --topic hello",
        "message get --topic orders --key 17 --since 2h",
        "message get --topic orders --queue strata-0000/0 --offset 42",
        "message tail hello --since 2026-08-05 --idle 1s --json",
        "replay orders --from 2h --into orders-again --dry-run --price-gets 0.40",
        "replay orders --from -2h --to 1h --tag a||b --group readers --rate 5000/s --bytes 20MiB/s",
        "replay orders --from 2026-08-05T14:00Z --into again --detach --name n --json",
        "replay --dlq readers --into-origin",
        "replay list --json",
        "replay show n --follow",
        "replay pause n",
        "replay resume n --admin 127.0.0.1:9000",
        "replay cancel n",
        "group redrive readers --rate 100/s",
        "group redrive readers --into-origin --from 1970-01-01 --dry-run",
        "cluster info --context prod",
        "store check --store s3://mq-prod/eu --object-lock --json",
        "store create --store d --dry-run",
        "config check --data d --journal-capacity 64GiB --json",
        "config show",
        "context add prod --admin 10.0.0.7:8082 --endpoint mq.example.org:8081 --tls",
        "context use prod",
        "context remove prod",
        "message send hello first --endpoint 127.0.0.1:9001",
        "message send hello - --tag t --key a --key b --property n=v",
        "message receive hello --group readers",
        "message receive hello --max 1000 --no-ack --wait 5s --invisible 1m --tls --json",
        "bench send hello --rate 1000 --arrivals poisson --duration 1m --warm-up 5s --json",
        "bench send hello --size 1KiB=90,64KiB=10 --keys 1000 --key-spread zipf --batch 32",
        "bench receive hello --fill 100000 --group g --ack each --receivers 16 --threads 2",
        "bench end-to-end hello --rate 5000 --connections 4 --tls",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn wrong_usage_is_told_apart_before_anything_is_sent() {
    for line in [
        "topic create",
        "topic create hello --queues many",
        "topic create hello --attribute nonsense",
        "message send hello",
        "message receive hello --wait soon",
        "message receive hello --tls --tls-ca file",
        "group create g --retry 1s,x",
        "message send hello x --endpoint :",
        "topic list --admin a:b",
        "bench send hello --size 5MiB",
        "bench send hello --rate -1",
        "bench send hello --in-flight 0",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn every_option_that_names_a_broker_can_come_from_the_environment() {
    let mut help = String::new();
    for path in [["topic", "create"], ["message", "send"]] {
        let mut command = Cli::command();
        let mut at = &mut command;
        for name in path {
            at = at.find_subcommand_mut(name).unwrap();
        }
        help.push_str(&at.render_long_help().to_string());
    }
    assert!(help.contains("STRATAMQ_ADMIN"), "{help}");
    assert!(help.contains("STRATAMQ_ENDPOINT"), "{help}");
}

#[test]
fn nobody_at_the_address_is_exit_3_and_says_how_to_start_a_broker() {
    // A port that was free a moment ago, on the loopback address.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for line in [
        format!("topic list --admin {address}"),
        format!("message send hello x --endpoint {address}"),
        format!("message receive hello --endpoint {address}"),
    ] {
        let failure = fail(&line);
        assert_eq!(failure.exit, Exit::Unreachable, "{line}: {failure:?}");
        assert!(
            failure.what.starts_with(&format!("no broker answers at {address}")),
            "{failure:?}"
        );
        assert!(failure.hint.contains("stratamq serve"), "{failure:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_exit_2() {
    for line in [
        "message send hello - -",
        "message receive hello --max 0",
        "message send hello x --tls-ca /nonexistent/ca.pem",
    ] {
        assert_eq!(fail(line).exit, Exit::Usage, "{line}");
    }
}

#[test]
fn a_failure_reads_as_what_and_what_to_do() {
    let failure = Failure::refused("there is no topic x").hint("make it");
    assert_eq!(failure.text(), "error: there is no topic x\n  make it\n");
    assert_eq!(Failure::refused("no").text(), "error: no\n");
}

fn fail(line: &str) -> Failure {
    let command = parse(line).unwrap();
    let mut printer = super::print::Printer::new(false, std::io::sink());
    super::block_on(super::execute(command, &mut printer)).expect_err(line)
}
