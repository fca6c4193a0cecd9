//! Prints the names that DNS clients query, and the number of answers:
//! `cargo run --features dns --example dns_names -- eth0 53 10`. It ends after that many answers.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use futures::StreamExt;
use netring::AsyncCapture;
use netring::flow::extract::FiveTuple;
use netring::flow::flowscope::dns::{DnsMessage, DnsUdpParser};
use netring::flow::reassembly::Subscription;
use netring::flow::session::{DatagramParser, SessionEvent::Message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("dns_names INTERFACE [PORT [ANSWERS]]");
    let capture = AsyncCapture::open(&args.interface()?)?;
    let (port, mut wanted) = (args.number("PORT", 53)?, args.number("ANSWERS", 10)?);
    args.end()?;
    let names = Subscription::all().ports([u16::try_from(port)?]);
    let parser = || Some(DatagramParser(DnsUdpParser::default()));
    let mut sessions =
        capture.datagram_stream(FiveTuple::bidirectional(), names, move |_| parser());
    while wanted > 0
        && let Some(event) = sessions.next().await.transpose()?
    {
        let (questions, answers) = match &event {
            Message { message, .. } => match message {
                DnsMessage::Query(query) => (&query.questions, None),
                DnsMessage::Response(reply) => (&reply.questions, Some(reply.answers.len())),
                _ => continue,
            },
            _ => continue,
        };
        for question in questions {
            println!("{} {} {answers:?}", question.name, question.qtype);
        }
        wanted -= u32::from(answers.is_some());
    }
    Ok(())
}
